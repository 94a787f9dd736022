"""Engines: which one, the connection to it, the calls that we make.

`client` is an engine over our own connections, `foreign` one behind somebody's docker-py client; both keep to
`interface`. `endpoint` says where it is (a variable, docker's configuration, its contexts), `connection` opens one byte
stream to it, over `transport` or one of the rarer ways; `calls` is what is asked. Nothing here knows a terminal.
"""
