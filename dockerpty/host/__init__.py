"""A container as a host that a script drives.

Every name is looked up when it is first used: `import dockerpty.host` loads nothing but this file.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dockerpty.host.aio import DockerContainerHost, container
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
    from dockerpty.host.parents import CommandParent, CommandParentSync, Parent
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
    from dockerpty.host.running_command import RunningCommand, RunningCommandSync
    from dockerpty.host.session import HostSession, HostSessionSync, ShellInfo
    from dockerpty.host.ssh.host import SSHHost, UnixHost
    from dockerpty.host.ssh.sync import SSHHostSync
    from dockerpty.host.sync import DockerContainerHostSync, container_sync
    from dockerpty.host.transcript import SuppressCommandOutput
    from dockerpty.host.transfer.look import Look
    from dockerpty.host.unmatched import ExpectEOF, ExpectTimeout

__all__ = [
    "CommandFailed",
    "CommandParent",
    "CommandParentSync",
    "CommandStatus",
    "DockerContainerHost",
    "DockerContainerHostSync",
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
    "HostSession",
    "HostSessionSync",
    "JumpError",
    "LocalHost",
    "LocalHostSync",
    "Look",
    "Parent",
    "ParentError",
    "Results",
    "RunResult",
    "RunningCommand",
    "RunningCommandSync",
    "SSHHost",
    "SSHHostSync",
    "SessionBusyError",
    "SessionLostError",
    "SessionStartError",
    "ShellCommand",
    "ShellInfo",
    "ShellNotFoundError",
    "Status",
    "SuppressCommandOutput",
    "TransferError",
    "TransferResult",
    "UnixHost",
    "container",
    "container_sync",
]

# As in the package above: a checker reads the imports.
if not TYPE_CHECKING:
    _WHERE = dict.fromkeys(__all__, "errors")
    _WHERE |= {"CommandFailed": "failure", "ExpectEOF": "unmatched", "ExpectTimeout": "unmatched"}
    _WHERE |= dict.fromkeys(("CommandStatus", "Expect", "ExpectResult", "FileTransfer", "Results"), "results")
    _WHERE |= dict.fromkeys(("RunResult", "ShellCommand", "Status", "TransferResult"), "results")
    _WHERE |= {"SSHHost": "ssh.host", "UnixHost": "ssh.host", "SSHHostSync": "ssh.sync"}
    _WHERE |= {"DockerContainerHost": "aio", "container": "aio", "Look": "transfer.look"}
    _WHERE |= dict.fromkeys(("DockerContainerHostSync", "container_sync"), "sync")
    _WHERE |= dict.fromkeys(("HostSession", "HostSessionSync", "ShellInfo"), "session")
    _WHERE |= dict.fromkeys(("LocalHost", "LocalHostSync"), "local")
    _WHERE |= dict.fromkeys(("CommandParent", "CommandParentSync", "Parent"), "parents")
    _WHERE |= dict.fromkeys(("RunningCommand", "RunningCommandSync"), "running_command")
    _WHERE["SuppressCommandOutput"] = "transcript"

    def __getattr__(name):
        if name not in _WHERE:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module = __import__(f"{__name__}.{_WHERE[name]}", fromlist=("__name__",))
        value = globals()[name] = getattr(module, name)
        return value

    def __dir__():
        return sorted({*globals(), *__all__})
