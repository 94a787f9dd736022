"""`signal` without its enums: signals are plain numbers here, as the system has them.

The standard module makes an enum of each number at each call, which takes milliseconds where many are blocked at once,
and loading it takes as long as a sixth of a start. What it wraps has the same names.
"""

# ruff: noqa: F403  # all its names, whatever this system has

TYPE_CHECKING = False
if TYPE_CHECKING:
    from signal import *
else:
    from _signal import *
