"""The errors of an engine: worded by us, and of docker-py's classes too once that is loaded.

A program that catches `docker.errors.NotFound` or `requests.exceptions.ConnectionError` catches ours. docker-py is
never imported here: where it is not loaded nobody can be waiting for its classes.
"""

from __future__ import annotations

import os
import sys

from dockerpty.engine import plain_json
from dockerpty.errors import (
    APIError,
    DockerptyError,
    EngineError,
    EngineUnreachable,
    ImageNotFound,
    NotFound,
    StartRefused,
)
from dockerpty.result import CANNOT_RUN_CODE, start_error_code

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeVar

    from dockerpty.engine.calls import Call, Reply

    E = TypeVar("E", bound=DockerptyError)

# The words by which an image that is not there is told from all else that is not: docker-py's (7.2.0).
_NO_IMAGE = (
    "no such image",
    "not found: does not exist or no pull access",
    "repository does not exist",
    "was found but does not match the specified platform",
)

# Status and words of the engine, and what to do about it unless its own words say so: with a status alone these words
# may be those of a runtime, or a name.
_KNOWN = (
    (404, "no such container", "`dpty ps -a` lists those that there are", ""),
    (404, "no such exec", "it ended long ago, or the engine was started anew", ""),
    (
        404,
        "could not find the file",
        "is the path right? its directory must be there, and what lies in /proc, /dev or a tmpfs is not seen",
        "",
    ),
    # A path in Podman's words.
    (404, "no such file or directory", "is the path right?", ""),
    (404, "no such image", "pull it, if its name is right", ""),
    (404, "does not match the specified platform", "pull it for that one", ""),
    (409, "paused", "unpause it first", "unpause"),
    (409, "is not running", "start it first", ""),
    (409, "is restarting", "wait until it runs", "wait"),
    (409, "is already in use", "choose another name", ""),
    # The two states in Podman's words.
    (500, "currently in state paused", "unpause it first", ""),
    (500, "on running containers", "start it first", ""),
    (400, "client version 1.", "is DOCKER_API_VERSION, or the version of your client, right?", ""),
)
# Said in these words alone, where what is missing is what the call is on: the message names that already.
_MISSING = ("no such container", "no such exec")
_PODMANS_MISSING = "does not exist in database: no such container"

# Characters of the engine's words in a message, of which the first and the last tell most.
_WORDS = 400

_CA_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")

_THEIRS = {
    "docker.errors": ("DockerException", "StreamParseError"),
    "requests.exceptions": ("RequestException",),
    "urllib3.exceptions": ("HTTPError",),
}

_classes: dict[tuple[type, ...], type] = {}


class Refusal:
    """An answer with an error, with the names that a `requests.Response` has for the same."""

    __slots__ = ("content", "headers", "reason", "status_code", "url")

    def __init__(
        self, status_code: int, reason: str, headers: dict[str, str], content: bytes, url: str
    ) -> None:
        self.status_code = status_code
        self.reason = reason
        self.headers = headers
        self.content = content
        self.url = url

    @property
    def text(self) -> str:
        """The body as text."""
        return self.content.decode("utf-8", "replace")

    def json(self) -> Any:
        """Decode the body; ValueError if it is no JSON."""
        return plain_json.loads(self.content)


def refused(call: Call, subject: str, reply: Reply, reason: str, url: str) -> APIError:
    """Make the error for an answer of our own connection."""
    response = Refusal(reply.status, reason, reply.headers, reply.body, url)
    try:
        explanation = response.json()["message"]
    except ValueError:
        # Plain text for attach. A page is from something other than an engine.
        text = response.text.strip()
        explanation = "" if text.startswith("<") else text
    except (KeyError, TypeError):
        explanation = ""
    if not isinstance(explanation, str):
        explanation = ""
    return twin(_api_error(call, subject, reply.status, explanation, response))


def of_an_engine() -> tuple[type[Exception], ...]:
    """List the classes of what a client's method raises when the engine, or the way to it, is the cause."""
    kinds: list[type[Exception]] = [OSError]
    for module, names in _THEIRS.items():
        if module in sys.modules:
            kinds += [getattr(sys.modules[module], name) for name in names]
    return tuple(kinds)


def of_client(error: Exception, call: Call, subject: str, name: str) -> EngineError:
    """Make our error of one that a client's method raised, which is `of_an_engine`."""
    docker, requests = sys.modules.get("docker.errors"), sys.modules.get("requests.exceptions")
    if docker is not None and isinstance(error, docker.APIError):
        explanation = error.explanation or ""
        if isinstance(explanation, bytes):
            explanation = explanation.decode("utf-8", "replace")
        if error.response is None:
            explanation = explanation or str(error.args[0] if error.args else "")
        return twin(_api_error(call, subject, error.status_code or 0, explanation, error.response), error)
    if docker is not None and isinstance(error, (docker.DockerException, docker.StreamParseError)):
        return twin(EngineError(call.action, subject or call.subject, _clean(str(error))), error)
    hint = "is it running?"
    if requests is not None and isinstance(error, requests.SSLError):
        names = [variable for variable in _CA_VARIABLES if os.environ.get(variable)]
        hint = "are the certificates right?"
        if names:
            hint = f"docker-py takes the authorities of {names[0]} instead of yours: unset it"
    return twin(EngineUnreachable("reach", f"the engine at {name}", _clean(str(error)), hint), error)


def twin(error: E, original: Exception | None = None) -> E:
    """Give the same error in a class that is docker-py's too; the error itself where docker-py is not loaded.

    Args:
        error: one of ours.
        original: what a client raised: its class is one of the new one's, and what it carries goes along.
    """
    docker, requests = sys.modules.get("docker.errors"), sys.modules.get("requests.exceptions")
    if docker is None or requests is None:
        return error
    theirs: list[type] = [] if original is None else [type(original)]
    if isinstance(error, ImageNotFound):
        theirs.append(docker.ImageNotFound)
    elif isinstance(error, NotFound):
        theirs.append(docker.NotFound)
    elif isinstance(error, APIError):
        theirs.append(docker.APIError)
    elif isinstance(error, EngineUnreachable):
        theirs += [requests.ConnectionError, docker.DockerException]
    ours = type(error)
    made = _class(ours, theirs)
    # Not by calling it: the __init__ of their classes take other arguments than ours.
    copy: E = made.__new__(made)
    if original is not None:
        copy.__dict__.update(original.__dict__)
    copy.__dict__.update(error.__dict__)
    copy.args = error.args
    return copy


def conflict(action: str, subject: str, reason: str, hint: str) -> APIError:
    """Return the error that the engine's own 409 would be: a state that forbids the request."""
    return twin(APIError(action, subject, reason, hint, status_code=409, explanation=reason))


def _class(ours: type, theirs: list[type]) -> Any:
    # Without those that another one implies: Python refuses a base in front of its own subclass.
    bases = dict.fromkeys([ours, *theirs])
    key = tuple(
        base for base in bases if not any(other is not base and issubclass(other, base) for other in bases)
    )
    if key not in _classes:
        # A class made here cannot be found by name when unpickled: there the plain one of ours comes back.
        _classes[key] = type(
            ours.__name__,
            key,
            {"__module__": ours.__module__, "__doc__": ours.__doc__, "__reduce__": _reduce},
        )
    return _classes[key]


def _reduce(error: DockerptyError) -> tuple[Any, ...]:
    ours = next(base for base in type(error).__mro__[1:] if issubclass(base, DockerptyError))
    state = {key: value for key, value in error.__dict__.items() if key != "request"}
    return (ours, error.args, state)


def _api_error(call: Call, subject: str, status: int, explanation: str, response: Any) -> APIError:
    reason, hint = _shortened(_clean(explanation)), ""
    if not reason:
        reason = f"the engine answered {status}"
        hint = (
            "is there a container engine at that address?"
            if status < 500
            else "the engine's log may say more"
        )
    lower = explanation.lower()
    for known_status, words, what_to_do, said in _KNOWN:
        if status == known_status and words in lower:
            if words in _MISSING and call.subject in explanation:
                reason = words
            if not said or said not in lower:
                hint = what_to_do
            break
    if hint:
        reason = reason.rstrip(".")
    ours, more = APIError, {}
    code = _start_code(call, status, explanation)
    if code:
        ours, more = StartRefused, {"exit_code": code}
    elif status == 404 or (status == 500 and _PODMANS_MISSING in lower):
        # With 500 Podman says it of a container that goes away while it is looked at.
        ours = ImageNotFound if any(words in lower for words in _NO_IMAGE) else NotFound
    return ours(
        call.action,
        subject or call.subject,
        reason,
        hint,
        status_code=status,
        explanation=explanation,
        response=response,
        **more,
    )


def _start_code(call: Call, status: int, explanation: str) -> int:
    """Give the exit code of what the engine's runtime could not start, 0 where that is not what was refused."""
    if not call.starts:
        return 0
    # Of an exec Docker's engine tells in the stream, with a code of its own, what Podman answers to the request.
    in_exec = status == 500 and call.path.startswith("/exec/")
    return start_error_code(explanation, CANNOT_RUN_CODE if in_exec else 0)


def _shortened(words: str) -> str:
    return words if len(words) <= _WORDS else f"{words[: _WORDS // 2]} ... {words[-_WORDS // 2 :]}"


def _clean(text: str) -> str:
    # It goes to a terminal, and a runtime's message may quote whatever a container printed.
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
