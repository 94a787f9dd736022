"""`python -m dockerpty`: the command `dpty`."""

from __future__ import annotations

import sys

from dockerpty.cli import main

if __name__ == "__main__":
    sys.exit(main())
