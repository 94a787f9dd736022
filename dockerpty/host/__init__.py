"""A container as a host that a script drives: a shell that keeps its state, and files that come and go.

The door is bare for now: `framing` is how commands and their output share a shell's streams.
"""
