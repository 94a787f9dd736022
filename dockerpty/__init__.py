"""Your terminal becomes the container's: `start`, `exec_command` and what they are made of.

Every name is looked up when it is first used: `import dockerpty` loads nothing but this file.
"""

from __future__ import annotations

__version__ = "1.0.0.dev0"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dockerpty import io, pty, tty
    from dockerpty.errors import (
        APIError,
        DetachKeysError,
        DockerptyError,
        EngineError,
        EngineUnreachable,
        NotFound,
        ProtocolError,
        SessionLost,
        SessionTimeout,
        TerminalError,
    )
    from dockerpty.pty import (
        ExecOperation,
        PseudoTerminal,
        RunOperation,
        SessionResult,
        exec_command,
        exec_create,
        start,
        start_exec,
    )

__all__ = [
    "APIError",
    "DetachKeysError",
    "DockerptyError",
    "EngineError",
    "EngineUnreachable",
    "ExecOperation",
    "NotFound",
    "ProtocolError",
    "PseudoTerminal",
    "RunOperation",
    "SessionLost",
    "SessionResult",
    "SessionTimeout",
    "TerminalError",
    "__version__",
    "exec_command",
    "exec_create",
    "io",
    "pty",
    "start",
    "start_exec",
    "tty",
]

# A checker reads the imports above; with these two in its sight it would take any name for granted.
if not TYPE_CHECKING:
    _MODULES = ("io", "pty", "tty")
    _FROM_PTY = (
        "ExecOperation",
        "PseudoTerminal",
        "RunOperation",
        "SessionResult",
        "exec_command",
        "exec_create",
        "start",
        "start_exec",
    )

    def __getattr__(name):
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        where = name if name in _MODULES else "pty" if name in _FROM_PTY else "errors"
        # The built-in, because importlib would cost more than all that is loaded here. With a fromlist it
        # returns the submodule and not the package.
        module = __import__(f"{__name__}.{where}", fromlist=("__name__",))
        value = module if name in _MODULES else getattr(module, name)
        globals()[name] = value
        return value

    def __dir__():
        return sorted({*globals(), *__all__})
