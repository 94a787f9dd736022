"""Containers, as they are asked for and as they are found.

`spec` makes a configuration of what was asked for, which `options` reads off the notation of a command line.
`ownership` is how we mark what is ours, `leftovers` finds what a killed process left, and `detached` is what somebody
has left on purpose.
"""
