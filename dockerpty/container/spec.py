"""What is asked of a new container, or of a new process in one, as the engine takes it.

The rules for variables, volumes and labels are those of docker's command (docker/cli, `opts`). What is asked for less
often is in `options`, which is loaded only then.
"""

from __future__ import annotations

import os

from dockerpty import keys
from dockerpty.errors import DockerptyError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any


# A process gets some MiB of variables at most; without a limit /dev/zero would be read for ever.
_FILE_LIMIT = 16 * 1024 * 1024
# What docker sends empty, where an engine would say null: whoever inspects a container may count on lists.
_EMPTY = (
    *("BlkioDeviceReadBps", "BlkioDeviceReadIOps", "BlkioDeviceWriteBps", "BlkioDeviceWriteIOps"),
    *("BlkioWeightDevice", "Devices", "Dns", "DnsOptions", "DnsSearch", "Ulimits"),
)


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
    label_files: Sequence[str] = (),
    volumes: Sequence[str] = (),
    networks: Sequence[str] = (),
    privileged: bool = False,
    init: bool | None = None,
    remove: bool = False,
    streams: Sequence[str] = (),
    asked: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Make the configuration of a container that is attached to from its start, unless it is detached.

    Args:
        command: empty leaves it to the image.
        environment: `NAME=VALUE`; a bare name takes the image's variable away. With a terminal ours is told of, too.
        entrypoint: "" takes the image's away, `None` leaves it.
        labels: `NAME` or `NAME=VALUE`.
        label_files: of lines `NAME=VALUE`; what is in `labels` counts more.
        volumes: `[SOURCE:]TARGET[:OPTIONS]`; a source that starts with a dot is a directory here.
        networks: names, or fields as `name=NETWORK,alias=NAME`.
        init: an init is the first process; `None` leaves it to the engine's own configuration.
        remove: the engine removes the container when it has ended.
        streams: which of stdin, stdout and stderr are attached to; none is all, and stdin if it is interactive.
        asked: everything else, by the name of docker's flag with underscores, as it is written on a command line: a
            text, a list of texts, or a statement (see `options.NAMES`).

    Raises:
        DockerptyError: a label without a name, an empty volume, or a value that its flag does not take.
    """
    # Here: an exec, which takes its variables from this file, has no use for it.
    from dockerpty.container.ownership import our_labels

    attached = not detach
    shown = [attached and (not streams or name in streams) for name in ("stdout", "stderr")]
    takes_input = attached and (interactive or "stdin" in streams)
    binds, own_volumes = _volumes(volumes)
    host: dict[str, Any] = {name: [] for name in _EMPTY}
    host |= {
        "AutoRemove": remove,
        "Privileged": privileged,
        "PortBindings": {},
        "RestartPolicy": {"Name": "no"},
    }
    if binds:
        host["Binds"] = binds
    if init is not None:
        host["Init"] = init
    config: dict[str, Any] = {
        "Image": image,
        "Tty": tty,
        "OpenStdin": interactive,
        # Ends with the first who attaches; somebody may come to a detached one many times.
        "StdinOnce": interactive and attached,
        "AttachStdin": takes_input,
        "AttachStdout": shown[0],
        "AttachStderr": shown[1],
        "Env": with_term(environment) if tty else list(environment),
        # What one is for that nobody looks at goes on without us: it is the user's even with `remove`.
        "Labels": {
            **_labels([*_file_labels(label_files), *labels]),
            **our_labels("run-rm" if remove and any(shown) else "run"),
        },
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
    if len(networks) == 1 and networks[0] and "=" not in networks[0]:
        host["NetworkMode"] = networks[0]
    elif networks:
        asked = {**(asked or {}), "network": networks}
    if asked:
        from dockerpty.container.options import apply

        apply(config, {"network": networks, **asked})
    return config


def exec_config(
    command: list[str] | str,
    tty: bool,
    stdin: bool,
    environment: list[str],
    user: str,
    workdir: str | None,
    privileged: bool,
) -> dict[str, Any]:
    """Return the body of `POST /containers/{id}/exec`; a string is split as a shell would."""
    if isinstance(command, str):
        import shlex

        try:
            command = shlex.split(command)
        except ValueError as error:
            reason = str(error)[:1].lower() + str(error)[1:]
            raise DockerptyError(
                "split the command", repr(command), reason, "give a list, which is taken as it is"
            ) from error
    config: dict[str, Any] = {
        "Cmd": list(command),
        "Tty": tty,
        "AttachStdin": stdin,
        "AttachStdout": True,
        "AttachStderr": True,
        # The engine would withhold the first of its keys, and kill the process at the last: give it some nobody types.
        "DetachKeys": keys.NEUTRAL,
    }
    if environment:
        config["Env"] = environment
    if user:
        config["User"] = user
    if workdir:
        config["WorkingDir"] = workdir
    if privileged:
        config["Privileged"] = True
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
            # Not shown: what is there may be a secret, as in all that follows.
            raise DockerptyError("set", "a variable of -e", "it has no name", "write NAME=VALUE")
        variables.append(f"{name}={here[name]}" if not equals and name in here else entry)
    return variables


def with_term(variables: Sequence[str], here: Mapping[str, str] | None = None) -> list[str]:
    """Add our TERM to the variables of a process with a terminal, unless they have one. An empty one is none."""
    term = (os.environ if here is None else here).get("TERM")
    if not term or any(entry.partition("=")[0] == "TERM" for entry in variables):
        return list(variables)
    return [*variables, f"TERM={term}"]


def environment_list(environment: Any) -> list[str]:
    """Return `NAME=value` lines from a dict (None as value leaves the name out) or a list."""
    if environment is None:
        return []
    if isinstance(environment, dict):
        return [f"{name}={value}" for name, value in environment.items() if value is not None]
    return list(environment)


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
            # Without a = the whole line would be the name.
            reason = "its name has a blank in it" if name else "there is no name before the ="
            raise DockerptyError(
                "use", f"line {number} of {path}", reason, "write NAME=VALUE, without quotes"
            )
        if equals:
            variables.append(f"{name}={value}")
        elif name in here:
            variables.append(f"{name}={here[name]}")
    return variables


def _file_variables(path: str, here: Mapping[str, str], of: str = "variables") -> list[str]:
    try:
        with open(path, encoding="utf-8", newline="\n") as file:
            text = file.read(_FILE_LIMIT + 1)
    except OSError as error:
        raise DockerptyError("read", f"the file of {of} {path}", os.strerror(error.errno or 0)) from error
    except UnicodeDecodeError as error:
        raise DockerptyError("read", f"the file of {of} {path}", "it is not UTF-8") from error
    if len(text) > _FILE_LIMIT:
        raise DockerptyError("read", f"the file of {of} {path}", "it is longer than any such file")
    return parse_environment_file(text, here, path)


def _file_labels(paths: Sequence[str]) -> list[str]:
    """Read files of labels; as with docker a line without a = is none."""
    return [label for path in paths for label in _file_variables(path, {}, "labels")]


def _labels(given: Sequence[str]) -> dict[str, str]:
    labels = {}
    for entry in given:
        name, _, value = entry.partition("=")
        if not name or len(name.split()) != 1:
            reason = "its name has a blank in it" if name.strip() else "it has no name"
            raise DockerptyError("put on", "a label of -l", reason, "write NAME=VALUE")
        labels[name] = value
    return labels


def _volumes(given: Sequence[str]) -> tuple[list[str], dict[str, dict[str, str]]]:
    """Tell what is mounted from somewhere from what is a volume without a name."""
    binds, own = [], {}
    for entry in given:
        source, colon, rest = entry.partition(":")
        if not source or (colon and not all(rest.split(":"))):
            raise DockerptyError("mount", repr(entry), "it has no source or no target", "write SOURCE:TARGET")
        if not colon:
            own[entry] = dict[str, str]()
        elif source.startswith("."):
            binds.append(f"{os.path.abspath(source)}:{rest}")
        else:
            binds.append(entry)
    return list(dict.fromkeys(binds)), own
