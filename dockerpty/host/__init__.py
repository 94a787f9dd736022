"""A container as a host that a script drives: what comes of a command, and what goes wrong.

Every name is looked up when it is first used: `import dockerpty.host` loads nothing but this file.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dockerpty.host.errors import (
        HostAuthError,
        HostClosedError,
        HostConnectionError,
        HostError,
        HostKeyError,
        HostNotRunningError,
        HostPausedError,
        JumpError,
        ParentError,
        SessionBusyError,
        SessionLostError,
        SessionStartError,
        ShellNotFoundError,
        TransferError,
    )
    from dockerpty.host.failure import CommandFailed
    from dockerpty.host.local import LocalHost, LocalHostSync
    from dockerpty.host.parents import Parent
    from dockerpty.host.results import (
        CommandStatus,
        Expect,
        ExpectResult,
        FileTransfer,
        Results,
        RunResult,
        ShellCommand,
        Status,
        TransferResult,
    )
    from dockerpty.host.ssh import SSHHost, UnixHost
    from dockerpty.host.ssh_sync import SSHHostSync
    from dockerpty.host.transcript import SuppressCommandOutput
    from dockerpty.host.unmatched import ExpectEOF, ExpectTimeout

__all__ = [
    "CommandFailed",
    "CommandStatus",
    "Expect",
    "ExpectEOF",
    "ExpectResult",
    "ExpectTimeout",
    "FileTransfer",
    "HostAuthError",
    "HostClosedError",
    "HostConnectionError",
    "HostError",
    "HostKeyError",
    "HostNotRunningError",
    "HostPausedError",
    "JumpError",
    "LocalHost",
    "LocalHostSync",
    "Parent",
    "ParentError",
    "Results",
    "RunResult",
    "SSHHost",
    "SSHHostSync",
    "SessionBusyError",
    "SessionLostError",
    "SessionStartError",
    "ShellCommand",
    "ShellNotFoundError",
    "Status",
    "SuppressCommandOutput",
    "TransferError",
    "TransferResult",
    "UnixHost",
]

# As in the package above: a checker reads the imports.
if not TYPE_CHECKING:
    _WHERE = dict.fromkeys(__all__, "errors")
    _WHERE |= {"CommandFailed": "failure", "ExpectEOF": "unmatched", "ExpectTimeout": "unmatched"}
    _WHERE |= dict.fromkeys(("CommandStatus", "Expect", "ExpectResult", "FileTransfer", "Results"), "results")
    _WHERE |= dict.fromkeys(("LocalHost", "LocalHostSync"), "local")
    _WHERE |= {"Parent": "parents", "SuppressCommandOutput": "transcript"}
    _WHERE |= dict.fromkeys(("RunResult", "ShellCommand", "Status", "TransferResult"), "results")
    _WHERE |= {"SSHHost": "ssh", "UnixHost": "ssh", "SSHHostSync": "ssh_sync"}

    def __getattr__(name):
        if name not in _WHERE:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module = __import__(f"{__name__}.{_WHERE[name]}", fromlist=("__name__",))
        value = globals()[name] = getattr(module, name)
        return value

    def __dir__():
        return sorted({*globals(), *__all__})
