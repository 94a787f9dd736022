"""Which container is meant by a text, or by a project and a service, among those that an engine lists. Pure.

A text is an id, the start of one, or a name, which the engine itself tells apart; `compose://PROJECT/SERVICE[/N]`; or
`label:KEY=VALUE`. No name has a colon, so that none is taken for one of the last two.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from dockerpty.container.reference import COMPOSE, LABEL
from dockerpty.engine.calls import own_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    # A container as the engine lists it.
    Listed = Mapping[str, Any]

# What docker compose writes on its containers.
PROJECT = "com.docker.compose.project"
SERVICE = "com.docker.compose.service"
NUMBER = "com.docker.compose.container-number"
# ... and, as "True", on those of `docker compose run`, which are no part of their service.
ONE_OFF = "com.docker.compose.oneoff"

# Who runs comes before who stands still, and both before who has ended.
_RANKS = {"running": 0, "paused": 1, "restarting": 1}
_NO_RANK = 2

# With slashes only by the name that another container has given it, by a link.
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*(/[a-zA-Z0-9][a-zA-Z0-9_.-]*)*")

# The number of a container without one.
_LAST = 1 << 30

_NEAREST = 3


@dataclass(frozen=True, slots=True)
class Reference:
    """Which container is meant.

    Attributes:
        text: as a person writes it, for messages; empty if none is meant.
        name: id, start of an id, or name; empty if it is found by its labels.
        labels: all that it must have.
    """

    text: str = ""
    name: str = ""
    labels: tuple[tuple[str, str], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.text)

    @property
    def filters(self) -> dict[str, list[str]]:
        """The labels as the engine's filter for a list of containers."""
        return {"label": [f"{key}={value}" for key, value in self.labels]}

    def best_of(self, listed: Iterable[Listed]) -> list[Listed]:
        """Give those that fit best: the ones that run, of a service the one with the lowest number.

        More than one is more than can be told apart.

        Args:
            listed: those that have the labels.
        """
        fitting = [each for each in listed if not (self._is_service and _is_one_off(each))]
        ranks = [(_rank(each), _number(each) if self._is_service else 0) for each in fitting]
        best = min(ranks, default=None)
        return [each for each, rank in zip(fitting, ranks, strict=True) if rank == best]

    def nearest(self, listed: Iterable[Listed]) -> list[str]:
        """Give what may have been meant: names, or references of the same kind, the likeliest first.

        Args:
            listed: all that there are.
        """
        from difflib import get_close_matches

        # Whoever made a container wrote its labels, and they are shown.
        there = sorted({text for each in listed for text in self._others(each) if text.isprintable()})
        wanted = {text: text.lower() for text in there}
        text = self.text.lower()
        # Of a service without its project, of a label without its key.
        core = dict(self.labels).get(SERVICE, self.labels[0][1]).lower() if self.labels else text
        parts = [each for each in there if core and core in wanted[each]]
        close = get_close_matches(text, wanted.values(), n=_NEAREST)
        parts += [each for each in there if wanted[each] in close and each not in parts]
        return parts[:_NEAREST]

    @property
    def _is_service(self) -> bool:
        return bool(self.labels) and self.labels[0][0] == PROJECT

    def _others(self, listed: Listed) -> list[str]:
        labels = _labels(listed)
        if self._is_service:
            service = labels.get(PROJECT), labels.get(SERVICE)
            return [f"{COMPOSE}{service[0]}/{service[1]}"] if all(service) else []
        if self.labels:
            key = self.labels[0][0]
            return [f"{LABEL}{key}={labels[key]}"] if key in labels else []
        return [own_name(listed)] if own_name(listed) else []


def of_text(text: str) -> Reference:
    """Read a reference.

    Raises:
        ValueError: it begins as one of our own kinds, and is none.
    """
    if text.startswith(COMPOSE):
        project, _, rest = text.removeprefix(COMPOSE).partition("/")
        service, slash, number = rest.partition("/")
        if not project or not service or (slash and not (number.isascii() and number.isdecimal())):
            raise ValueError(f"{text!r} is no container: give {COMPOSE}PROJECT/SERVICE or .../SERVICE/NUMBER")
        # As a number: compose writes it without zeros.
        return of_service(project, service, int(number) if slash else None)
    if text.startswith(LABEL):
        key, equals, value = text.removeprefix(LABEL).partition("=")
        if not key or not equals:
            raise ValueError(f"{text!r} is no container: give {LABEL}KEY=VALUE")
        return Reference(text, labels=((key, value),))
    name = text.removeprefix("/")
    return Reference(name, name)


def of_service(project: str, service: str, number: int | None = None) -> Reference:
    """Give the reference to a container of a service of docker compose, by the number that it has there."""
    text = f"{COMPOSE}{project}/{service}" + ("" if number is None else f"/{number}")
    labels = ((PROJECT, project), (SERVICE, service))
    return Reference(text, labels=labels if number is None else (*labels, (NUMBER, str(number))))


def of_host(container_id: str, compose_project: str = "", service: str = "") -> Reference:
    """Read what a host was made with: a text, or in place of it a project and a service.

    Returns:
        an empty reference where neither was given: a host that has to be brought up before it has a container.

    Raises:
        ValueError: as `of_text`.
    """
    if container_id:
        return of_text(container_id)
    return of_service(compose_project, service) if compose_project and service else Reference()


def can_be(name: str) -> bool:
    """Say whether there may be a container with this id or name: what an engine takes for one has no other signs."""
    return bool(_NAME.fullmatch(name))


def described(listed: Listed) -> str:
    """Give name and state of a container, for a message with several of them."""
    return f"{own_name(listed) or str(listed['Id'])[:12]} ({listed.get('State') or 'unknown'})"


def _rank(listed: Listed) -> int:
    return _RANKS.get(str(listed.get("State")), _NO_RANK)


def _number(listed: Listed) -> int:
    number = _labels(listed).get(NUMBER, "")
    return int(number) if len(number) < 10 and number.isascii() and number.isdecimal() else _LAST


def _is_one_off(listed: Listed) -> bool:
    return _labels(listed).get(ONE_OFF, "").lower() == "true"


def _labels(listed: Listed) -> Mapping[str, str]:
    labels: Mapping[str, str] = listed.get("Labels") or {}
    return labels
