"""A container's configuration from what `run` was asked: the body of `POST /containers/create`.

The rules for variables, volumes and labels are those of docker's command (docker/cli, `opts`).
"""

from __future__ import annotations

import os

from dockerpty.errors import DockerptyError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any


def container_config(
    image: str,
    command: Sequence[str] = (),
    *,
    interactive: bool = False,
    tty: bool = False,
    detach: bool = False,
    environment: Sequence[str] = (),
    user: str | None = None,
    workdir: str | None = None,
    entrypoint: str | None = None,
    hostname: str | None = None,
    labels: Sequence[str] = (),
    volumes: Sequence[str] = (),
    network: str | None = None,
    privileged: bool = False,
    init: bool = False,
    remove: bool = False,
) -> dict[str, Any]:
    """Make the configuration of a container that is attached to from its start, unless it is detached.

    Args:
        command: empty leaves it to the image.
        environment: `NAME=VALUE`; a bare name takes the image's variable away. With a terminal ours is told of, too.
        entrypoint: "" takes the image's away, `None` leaves it.
        labels: `NAME` or `NAME=VALUE`.
        volumes: `[SOURCE:]TARGET[:OPTIONS]`; a source that starts with a dot is a directory here.
        init: an init is the first process; `False` leaves it to the engine's own configuration.
        remove: the engine removes the container when it has ended.

    Raises:
        DockerptyError: a label without a name, or an empty volume.
    """
    attached = not detach
    binds, own_volumes = _volumes(volumes)
    host: dict[str, Any] = {"AutoRemove": remove, "Privileged": privileged}
    if binds:
        host["Binds"] = binds
    if network:
        host["NetworkMode"] = network
    if init:
        host["Init"] = True
    config: dict[str, Any] = {
        "Image": image,
        "Tty": tty,
        "OpenStdin": interactive,
        # Ends with the first who attaches; somebody may come to a detached one many times.
        "StdinOnce": interactive and attached,
        "AttachStdin": interactive and attached,
        "AttachStdout": attached,
        "AttachStderr": attached,
        "Env": with_term(environment) if tty else list(environment),
        # What a detached one is for goes on without us: it is the user's even with `remove`.
        "Labels": {**_labels(labels), **our_labels("run-rm" if remove and attached else "run")},
        "HostConfig": host,
    }
    if command:
        config["Cmd"] = list(command)
    if entrypoint is not None:
        config["Entrypoint"] = [entrypoint]
    if own_volumes:
        config["Volumes"] = own_volumes
    for key, value in (("User", user), ("WorkingDir", workdir), ("Hostname", hostname)):
        if value:
            config[key] = value
    return config


def environment(
    given: Sequence[str], files: Sequence[str] = (), here: Mapping[str, str] | None = None
) -> list[str]:
    """Make a process's variables from what was given on a command line.

    Args:
        given: `NAME=VALUE`, or `NAME` for the value it has here; without one there the process does not get it.
        files: of lines `NAME=VALUE`; what is given counts more.
        here: this process's own variables, by default.

    Raises:
        DockerptyError: a variable without a name, or a file that cannot be read.
    """
    if here is None:
        here = os.environ
    variables = []
    for path in files:
        variables += _file_variables(path, here)
    for entry in given:
        name, equals, _ = entry.partition("=")
        if not name:
            raise DockerptyError("set the variable", repr(entry), "it has no name", "write NAME=VALUE")
        variables.append(f"{name}={here[name]}" if not equals and name in here else entry)
    return variables


def with_term(variables: Sequence[str], here: Mapping[str, str] | None = None) -> list[str]:
    """Add our TERM to the variables of a process with a terminal, unless they have one. An empty one is none."""
    term = (os.environ if here is None else here).get("TERM")
    if not term or any(entry.partition("=")[0] == "TERM" for entry in variables):
        return list(variables)
    return [*variables, f"TERM={term}"]


def parse_environment_file(text: str, here: Mapping[str, str], path: str = "") -> list[str]:
    """Read the lines of an `--env-file`: no quotes, `#` starts a comment, a bare name takes the value it has here.

    Raises:
        DockerptyError: a name that is empty, or that has a blank in it.
    """
    variables = []
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        line = line.removesuffix("\r").lstrip()
        if not line or line.startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not name or " " in name or "\t" in name:
            reason = (
                f"the variable {name!r} has a blank in its name" if name else "there is no name before the ="
            )
            raise DockerptyError(
                "use", f"line {number} of {path}", reason, "write NAME=VALUE, without quotes"
            )
        if equals:
            variables.append(f"{name}={value}")
        elif name in here:
            variables.append(f"{name}={here[name]}")
    return variables


def our_labels(role: str) -> dict[str, str]:
    """Give the labels by which a container of ours is found again, and its owner's death is seen."""
    return {"dockerpty.layer": "bridge", "dockerpty.role": role, "dockerpty.owner": owner()}


def owner() -> str:
    """Name this process so that nobody can be taken for it: `machine/boot/PID namespace/pid/its start time`.

    The start time is in ticks since the boot (proc(5), field 22 of stat). What a system does not tell is left empty.
    """
    # Behind the name in its brackets, which may have blanks and brackets of its own.
    stat = _line("/proc/self/stat").rpartition(")")[2].split()
    try:
        namespace = os.readlink("/proc/self/ns/pid").strip("pid:[]")
    except OSError:
        namespace = ""
    boot = _line("/proc/sys/kernel/random/boot_id")
    started = stat[19] if len(stat) > 19 else ""
    return "/".join((os.uname().nodename, boot, namespace, str(os.getpid()), started))


def _line(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.readline().rstrip("\n")
    except OSError:
        return ""


def _file_variables(path: str, here: Mapping[str, str]) -> list[str]:
    try:
        with open(path, encoding="utf-8", newline="\n") as file:
            text = file.read()
    except OSError as error:
        raise DockerptyError(
            "read", f"the file of variables {path}", os.strerror(error.errno or 0)
        ) from error
    except UnicodeDecodeError as error:
        raise DockerptyError("read", f"the file of variables {path}", "it is not UTF-8") from error
    return parse_environment_file(text, here, path)


def _labels(given: Sequence[str]) -> dict[str, str]:
    labels = {}
    for entry in given:
        name, _, value = entry.partition("=")
        if not name:
            raise DockerptyError("put on the label", repr(entry), "it has no name", "write NAME=VALUE")
        labels[name] = value
    return labels


def _volumes(given: Sequence[str]) -> tuple[list[str], dict[str, dict[str, str]]]:
    """Tell what is mounted from somewhere from what is a volume without a name."""
    binds, own = [], {}
    for entry in given:
        source, colon, rest = entry.partition(":")
        if not source or (colon and not rest):
            raise DockerptyError("mount", repr(entry), "it has no source or no target", "write SOURCE:TARGET")
        if not colon:
            own[entry] = dict[str, str]()
        elif source.startswith("."):
            binds.append(f"{os.path.abspath(source)}:{rest}")
        else:
            binds.append(entry)
    return binds, own
