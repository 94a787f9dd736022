"""The test bed: a terminal, an engine, the ways to it, and what can go wrong in between.

Nothing here knows dockerpty's insides. `terminal` runs a program under a PTY of its own, `engine` makes
containers and removes them, `proxy` stands between a client and the engine and misbehaves as told,
`transports` are the ways in which an engine is reached, `scripts` are the small programs under test.
"""
