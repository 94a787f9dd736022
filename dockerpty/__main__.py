"""The command `dpty`, also as `python -m dockerpty`."""

from __future__ import annotations

import sys


def main() -> int:
    """Run this process's command line, and return its exit code."""
    try:
        from dockerpty.cli import main as run

        return run()
    except KeyboardInterrupt:
        # Before anything has begun, or while an error is told: it is died of as at any other time, without a traceback.
        import os

        from dockerpty import plain_signal as signal

        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
        return 128 + signal.SIGINT


if __name__ == "__main__":
    sys.exit(main())
