"""A container as a host, on a real engine."""
