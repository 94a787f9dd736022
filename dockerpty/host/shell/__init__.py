"""A shell held open in a container: commands in, and output and exit codes out, with its state kept."""
