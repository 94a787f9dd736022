"""Every error that the bridge raises, in one tree.

Detach, end of input and a non-zero exit are results and are not here. Errors of the engine are also
docker-py's when that is loaded: the twin classes are made in `engine.twins`, never here, since this file leans
on nothing but the shape of a result. The branches of the layers above stand in those: `host.errors`.

DockerptyError
├── DetachKeysError (ValueError)                a detach sequence that nobody can type
├── CannotStart                                 what was to run is not there (127), or may not be run (126)
├── TerminalError                               no raw mode here, or a second session on one terminal
├── ArchiveError (ValueError)                   a tar archive that is broken, or that must not be unpacked
├── ProtocolError (ConnectionError)             a frame or an answer that cannot be
├── SessionTimeout (TimeoutError)               a time limit of the session, or of its script
├── SessionLost (ConnectionError)               the stream broke and the exit code cannot be learned
└── EngineError
    ├── APIError                                the engine answered with an error
    │   ├── StartRefused (CannotStart)          ... since its runtime could not start the process
    │   └── NotFound                            ... with 404
    │       └── ImageNotFound                   ... for want of an image
    └── EngineUnreachable (ConnectionError)     the engine did not answer
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from dockerpty.result import SessionResult


class DockerptyError(Exception):
    """Say what failed, on what, why, and what to do: the base of every error of this project.

    Args:
        action: what could not be done, in the words that follow "cannot": `"attach to"`.
        subject: on what: `"web-1"`.
        reason: why: `"it is paused"`.
        hint: what to do: `"unpause it first"`.
    """

    action: str
    subject: str
    reason: str
    hint: str
    # How far the session came that this error ended, if there was one.
    result: SessionResult | None = None

    def __init__(self, action: str, subject: str = "", reason: str = "", hint: str = "") -> None:
        # One argument upwards: OSError, a base of some of us and of docker-py's, takes two for its own.
        super().__init__(action)
        # What the class is called with when an error is copied or unpickled; the rest follows as state.
        self.args = (action, subject, reason, hint)
        self.action = action
        self.subject = subject
        self.reason = reason
        self.hint = hint

    def __str__(self) -> str:
        what = " ".join(part for part in ("cannot", self.action, self.subject) if part)
        why = "; ".join(part for part in (self.reason, self.hint) if part)
        return f"{what}: {why}" if why else what


class DetachKeysError(DockerptyError, ValueError):
    """The detach keys are not spelled as Docker spells them."""


class CannotStart(DockerptyError):
    """What was to run in a container is not there, or may not be run; nothing was started.

    Attributes:
        exit_code: a shell's for this: 127 or 126.
    """

    exit_code = 127

    def __init__(
        self, action: str, subject: str = "", reason: str = "", hint: str = "", exit_code: int = 127
    ) -> None:
        super().__init__(action, subject, reason, hint)
        self.exit_code = exit_code


class TerminalError(DockerptyError):
    """The terminal cannot be made raw: there is no such thing on this system, or another session has it."""


class ArchiveError(DockerptyError, ValueError):
    """A tar archive is broken, or would put something where it must not be."""


class ProtocolError(DockerptyError, ConnectionError):
    """The engine sent what its protocol does not allow: what follows on this connection cannot be trusted."""


class SessionTimeout(DockerptyError, TimeoutError):
    """The session reached its `timeout` or its `idle_timeout`, or its script waited in vain.

    `.result` says how far it came.
    """


class SessionLost(DockerptyError, ConnectionError):
    """The session broke and the exit code cannot be learned; `.result` says how far it came."""

    #: It is the caller's own terminal that is gone: to attach again would be in vain.
    on_our_side = False


class EngineError(DockerptyError):
    """The engine refused, or could not be asked."""


class Response:
    """What a caller of docker-py looks for under `error.response`."""

    __slots__ = ("status_code",)

    def __init__(self, status_code: int) -> None:
        self.status_code = status_code


class APIError(EngineError):
    """The engine answered with an error.

    Args:
        status_code: the HTTP status.
        explanation: the engine's own words.
        response: what to keep as `.response`; made from the status when there is none.
    """

    response: Any
    explanation: str

    def __init__(
        self,
        action: str,
        subject: str = "",
        reason: str = "",
        hint: str = "",
        *,
        status_code: int = 0,
        explanation: str = "",
        response: Any = None,
    ) -> None:
        # First: docker-py's __init__, next in the order of a twin class, clears both attributes.
        super().__init__(action, subject, reason, hint)
        self.response = Response(status_code) if response is None else response
        self.explanation = explanation

    # A property, as in docker-py, whose own one would stand in the way of an attribute in a twin class.
    @property
    def status_code(self) -> int:
        """The HTTP status of the engine's answer."""
        return int(self.response.status_code)


class StartRefused(APIError, CannotStart):
    """The engine's runtime could not start the process: its words say whether its program is there."""

    def __init__(
        self,
        action: str,
        subject: str = "",
        reason: str = "",
        hint: str = "",
        *,
        exit_code: int = 127,
        status_code: int = 0,
        explanation: str = "",
        response: Any = None,
    ) -> None:
        super().__init__(
            action,
            subject,
            reason,
            hint,
            status_code=status_code,
            explanation=explanation,
            response=response,
        )
        self.exit_code = exit_code


class NotFound(APIError):
    """The engine does not know the container, the exec or the image (404)."""


class ImageNotFound(NotFound):
    """The engine does not have the image, or not for the platform that was asked for."""


class EngineUnreachable(EngineError, ConnectionError):
    """No engine answered: no socket, no permission, refused, no route, or a failure of TLS or ssh."""
