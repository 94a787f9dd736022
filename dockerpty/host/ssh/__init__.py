"""A machine behind SSH: the engine that runs there, and the machine itself."""
