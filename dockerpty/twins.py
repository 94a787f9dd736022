"""The errors of an engine: worded by us, and of docker-py's classes too once that is loaded.

A program that catches `docker.errors.NotFound` or `requests.exceptions.ConnectionError` catches ours. docker-py is
never imported here: where it is not loaded nobody can be waiting for its classes.
"""

from __future__ import annotations

import json
import os
import sys

from .errors import APIError, DockerptyError, EngineError, EngineUnreachable, NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeVar

    from .calls import Call, Reply

    E = TypeVar("E", bound=DockerptyError)

# The words that docker-py takes for an image that is not there (7.2.0).
_NO_IMAGE = (
    "no such image",
    "not found: does not exist or no pull access",
    "repository does not exist",
    "was found but does not match the specified platform",
)

# What the engine says, what we say instead ("" for its own words), and what to do.
_KNOWN = (
    ("no such container", "no such container", "`docker ps --all` lists those that there are"),
    ("no such exec", "no such exec", "it ended long ago, or the engine was started anew"),
    ("no such image", "", "pull it, or look at `docker images`"),
    ("paused", "", "unpause it first"),
    ("is not running", "", "start it first"),
    ("is restarting", "", "wait until it runs"),
    ("is already in use", "", "choose another name, or remove or rename that container"),
)

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
        return json.loads(self.content)


def refused(call: Call, subject: str, reply: Reply, reason: str, url: str) -> APIError:
    """Make the error for an answer of our own connection."""
    response = Refusal(reply.status, reason, reply.headers, reply.body, url)
    try:
        explanation = str(response.json()["message"])
    except (ValueError, KeyError, TypeError):
        # Plain text for attach, and where something other than the engine answers.
        explanation = response.text.strip()
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
    if isinstance(error, NotFound):
        no_image = any(words in error.explanation.lower() for words in _NO_IMAGE)
        theirs.append(docker.ImageNotFound if no_image else docker.NotFound)
    elif isinstance(error, APIError):
        theirs.append(docker.APIError)
    elif isinstance(error, EngineUnreachable):
        theirs += [requests.ConnectionError, docker.DockerException]
    ours = type(error)
    made = _class(ours, theirs)
    # Not by calling it: the __init__ of their classes take other arguments than ours.
    copy = made.__new__(made)
    if original is not None:
        copy.__dict__.update(original.__dict__)
    copy.__dict__.update(error.__dict__)
    copy.args = error.args
    return copy  # type: ignore[no-any-return]


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
    reason = _clean(explanation) or f"the engine answered {status}"
    hint = "the engine's log may say more" if status >= 500 else ""
    for words, instead, what_to_do in _KNOWN:
        if words in explanation.lower():
            reason, hint = instead or reason, what_to_do
            break
    ours = NotFound if status == 404 else APIError
    return ours(
        call.action,
        subject or call.subject,
        reason,
        hint,
        status_code=status,
        explanation=explanation,
        response=response,
    )


def _clean(text: str) -> str:
    # It goes to a terminal, and a runtime's message may quote whatever a container printed.
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
