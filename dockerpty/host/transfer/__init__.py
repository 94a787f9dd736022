"""Files into a container, out of it, and looked at where they are."""
