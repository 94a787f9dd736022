"""A container's configuration, as docker's command would have made it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockerpty.container.ownership import owner
from dockerpty.container.spec import container_config, environment, parse_environment_file, with_term
from dockerpty.errors import DockerptyError

# An engine would say null of most of these, and docker does not let it.
PLAIN_HOST: dict[str, Any] = {
    "AutoRemove": False,
    "BlkioDeviceReadBps": [],
    "BlkioDeviceReadIOps": [],
    "BlkioDeviceWriteBps": [],
    "BlkioDeviceWriteIOps": [],
    "BlkioWeightDevice": [],
    "Devices": [],
    "Dns": [],
    "DnsOptions": [],
    "DnsSearch": [],
    "PortBindings": {},
    "Privileged": False,
    "RestartPolicy": {"Name": "no"},
    "Ulimits": [],
}
HERE = {"HOME": "/root", "EMPTY": "", "TERM": "xterm"}


def without_labels(config: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key != "Labels"}


def test_a_plain_container_shows_its_output_and_leaves_the_rest_to_the_image() -> None:
    assert without_labels(container_config("busybox")) == {
        "Image": "busybox",
        "Tty": False,
        "OpenStdin": False,
        "StdinOnce": False,
        "AttachStdin": False,
        "AttachStdout": True,
        "AttachStderr": True,
        "Env": [],
        "HostConfig": PLAIN_HOST,
    }


# What docker's own command makes of -i and -d.
@pytest.mark.parametrize(
    ("interactive", "detach", "stdin", "output", "open_stdin", "once"),
    [
        (True, False, True, True, True, True),
        (True, True, False, False, True, False),
        (False, False, False, True, False, False),
        (False, True, False, False, False, False),
    ],
)
def test_what_is_attached_and_when_stdin_ends_is_as_with_docker(
    interactive: bool, detach: bool, stdin: bool, output: bool, open_stdin: bool, once: bool
) -> None:
    config = container_config("busybox", interactive=interactive, detach=detach)
    assert (config["AttachStdin"], config["AttachStdout"], config["AttachStderr"]) == (stdin, output, output)
    assert (config["OpenStdin"], config["StdinOnce"]) == (open_stdin, once)


# The same of -a.
@pytest.mark.parametrize(
    ("streams", "interactive", "detach", "attached", "once"),
    [
        (["stdout"], False, False, (False, True, False), False),
        (["stderr"], True, False, (True, False, True), True),
        (["stdin"], False, False, (True, False, False), False),
        (["stdin", "stdout"], True, False, (True, True, False), True),
        ([], True, True, (False, False, False), False),
    ],
)
def test_only_what_was_chosen_is_attached(
    streams: list[str], interactive: bool, detach: bool, attached: tuple[bool, bool, bool], once: bool
) -> None:
    config = container_config("busybox", streams=streams, interactive=interactive, detach=detach)
    assert (config["AttachStdin"], config["AttachStdout"], config["AttachStderr"]) == attached
    assert config["StdinOnce"] is once


def test_everything_that_can_be_asked_for_has_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TERM", raising=False)
    config = container_config(
        "busybox",
        ["ls", "-l"],
        interactive=True,
        tty=True,
        environment=["A=1"],
        user="1:2",
        workdir="/w",
        entrypoint="/bin/e",
        hostname="box",
        volumes=["data:/data:ro", "/own"],
        networks=["none"],
        privileged=True,
        init=True,
        remove=True,
    )
    assert without_labels(config) == {
        "Image": "busybox",
        "Cmd": ["ls", "-l"],
        "Entrypoint": ["/bin/e"],
        "Tty": True,
        "OpenStdin": True,
        "StdinOnce": True,
        "AttachStdin": True,
        "AttachStdout": True,
        "AttachStderr": True,
        "Env": ["A=1"],
        "User": "1:2",
        "WorkingDir": "/w",
        "Hostname": "box",
        "Volumes": {"/own": {}},
        "HostConfig": {
            **PLAIN_HOST,
            "AutoRemove": True,
            "Privileged": True,
            "Binds": ["data:/data:ro"],
            "NetworkMode": "none",
            "Init": True,
        },
    }


def test_an_empty_entry_point_takes_the_images_away() -> None:
    assert container_config("busybox", entrypoint="")["Entrypoint"] == [""]
    assert "Entrypoint" not in container_config("busybox")


def test_a_source_with_a_dot_is_a_directory_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    config = container_config("busybox", volumes=["./in:/in", "..:/up:ro", ".:/here", "/abs:/abs", "name:/n"])
    assert config["HostConfig"]["Binds"] == [
        f"{tmp_path}/in:/in",
        f"{tmp_path.parent}:/up:ro",
        f"{tmp_path}:/here",
        "/abs:/abs",
        "name:/n",
    ]


def test_what_is_mounted_twice_is_asked_for_once() -> None:
    config = container_config("busybox", volumes=["/own", "a:/b", "/own", "a:/b"])
    assert (config["Volumes"], config["HostConfig"]["Binds"]) == ({"/own": {}}, ["a:/b"])


def test_an_init_is_there_or_not_or_up_to_the_engine() -> None:
    assert container_config("busybox", init=False)["HostConfig"]["Init"] is False
    assert "Init" not in container_config("busybox")["HostConfig"]


def test_a_network_is_a_name_or_fields() -> None:
    assert container_config("busybox", networks=["net"])["HostConfig"]["NetworkMode"] == "net"
    named = container_config("busybox", networks=["name=net,alias=x"])
    assert named["HostConfig"]["NetworkMode"] == "net"
    assert named["NetworkingConfig"] == {"EndpointsConfig": {"net": {"Aliases": ["x"]}}}
    with pytest.raises(DockerptyError, match="cannot use an empty --network"):
        container_config("busybox", networks=[""])


def test_what_is_said_of_the_only_network_stands_with_it() -> None:
    config = container_config("busybox", networks=["net"], asked={"network_alias": ["x"]})
    assert config["HostConfig"]["NetworkMode"] == "net"
    assert config["NetworkingConfig"] == {"EndpointsConfig": {"net": {"Aliases": ["x"]}}}


@pytest.mark.parametrize("volume", ["", ":", ":/x", "/x:", "a::b"])
def test_a_volume_without_a_source_or_a_target_is_refused(volume: str) -> None:
    with pytest.raises(DockerptyError, match="cannot mount"):
        container_config("busybox", volumes=[volume])


def test_labels_in_a_file_count_less_and_need_a_value(tmp_path: Path) -> None:
    path = tmp_path / "labels"
    path.write_text("# none\na=file\nb= x \nHOME\n")
    labels = container_config("busybox", labels=["a=line"], label_files=[str(path)])["Labels"]
    assert {key: value for key, value in labels.items() if not key.startswith("dockerpty.")} == {
        "a": "line",
        "b": " x ",
    }
    with pytest.raises(DockerptyError, match="cannot read the file of labels /no/such: No such file"):
        container_config("busybox", label_files=["/no/such"])


def test_labels_are_names_with_or_without_a_value_and_the_last_counts() -> None:
    labels = container_config("busybox", labels=["a", "b=1=2", "c=", "a=x"])["Labels"]
    assert {key: value for key, value in labels.items() if not key.startswith("dockerpty.")} == {
        "a": "x",
        "b": "1=2",
        "c": "",
    }


def test_a_label_without_a_name_is_refused() -> None:
    with pytest.raises(
        DockerptyError, match=r"cannot put on a label of -l: it has no name; write NAME=VALUE$"
    ):
        container_config("busybox", labels=["=x"])
    with pytest.raises(DockerptyError, match=r"a label of -l: its name has a blank in it; write NAME=VALUE$"):
        container_config("busybox", labels=["a b=x"])


def test_what_nobody_looks_at_is_the_users_even_if_it_is_removed() -> None:
    labels = container_config("busybox", remove=True, interactive=True, streams=["stdin"])["Labels"]
    assert labels["dockerpty.role"] == "run"


@pytest.mark.parametrize(
    ("remove", "detach", "role"),
    [(False, False, "run"), (False, True, "run"), (True, False, "run-rm"), (True, True, "run")],
)
def test_only_what_is_removed_with_us_is_ours_to_find_again(remove: bool, detach: bool, role: str) -> None:
    labels = container_config("busybox", labels=["dockerpty.owner=me"], remove=remove, detach=detach)[
        "Labels"
    ]
    assert labels == {
        "dockerpty.layer": "bridge",
        "dockerpty.role": role,
        "dockerpty.owner": owner(),
        "dockerpty.user": str(os.getuid()),
    }


# Variables


def test_variables_are_as_given_and_a_bare_name_takes_the_value_it_has_here() -> None:
    given_ = ["A=1", "B=", "C=x=y", "HOME", "EMPTY"]
    assert environment(given_, here=HERE) == ["A=1", "B=", "C=x=y", "HOME=/root", "EMPTY="]


def test_a_bare_name_without_a_value_here_stays_bare_which_unsets_it_in_the_container() -> None:
    assert environment(["NOSUCH"], here=HERE) == ["NOSUCH"]


@pytest.mark.parametrize("entry", ["", "=", "=x"])
def test_a_variable_without_a_name_is_refused(entry: str) -> None:
    with pytest.raises(
        DockerptyError, match=r"^cannot set a variable of -e: it has no name; write NAME=VALUE$"
    ):
        environment([entry], here=HERE)


def test_files_come_first_so_that_what_is_given_counts_more(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("A=one\nB=one\n")
    two.write_text("B=two\n")
    assert environment(["A=given"], [str(one), str(two)], HERE) == ["A=one", "B=one", "B=two", "A=given"]


@pytest.mark.parametrize(
    ("text", "variables"),
    [
        ("", []),
        ("A=1\nB=2", ["A=1", "B=2"]),
        ("A=1\r\nB= x \r\n", ["A=1", "B= x "]),
        ("# no\n  # no\n\nA=#yes\n", ["A=#yes"]),
        ("  A=1 \n\tB=2", ["A=1 ", "B=2"]),
        ("A=\"quoted\"\nB='x'", ['A="quoted"', "B='x'"]),
        ("A=x=y\nB=", ["A=x=y", "B="]),
        ("HOME\nNOSUCH\nEMPTY", ["HOME=/root", "EMPTY="]),
        ("\ufeffA=1", ["A=1"]),
        ("A=1\x0bB\nC=\x85", ["A=1\x0bB", "C=\x85"]),
    ],
)
def test_a_file_of_variables_is_read_as_docker_reads_it(text: str, variables: list[str]) -> None:
    assert parse_environment_file(text, HERE) == variables


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "A=1\n=x",
            "cannot use line 2 of f: there is no name before the =; write NAME=VALUE, without quotes",
        ),
        (
            "A B=1",
            "cannot use line 1 of f: its name has a blank in it; write NAME=VALUE, without quotes",
        ),
        (
            "export A=1",
            "cannot use line 1 of f: its name has a blank in it; write NAME=VALUE, without quotes",
        ),
        (
            "A =1",
            "cannot use line 1 of f: its name has a blank in it; write NAME=VALUE, without quotes",
        ),
        (
            "TOKEN: hunter2",
            "cannot use line 1 of f: its name has a blank in it; write NAME=VALUE, without quotes",
        ),
    ],
)
def test_a_line_that_is_no_variable_is_told_with_its_number(text: str, message: str) -> None:
    with pytest.raises(DockerptyError) as caught:
        parse_environment_file(text, HERE, "f")
    assert str(caught.value) == message


@given(
    st.dictionaries(
        st.from_regex(r"[A-Z_][A-Z0-9_]*", fullmatch=True),
        st.text().filter(lambda v: not {"\n", "\r"} & set(v)),
    )
)
def test_what_is_written_as_lines_comes_back(variables: dict[str, str]) -> None:
    lines = [f"{name}={value}" for name, value in variables.items()]
    assert parse_environment_file("\n".join(lines), {}) == lines


def test_a_file_that_is_not_utf_8_or_not_there_is_told_of(tmp_path: Path) -> None:
    path = tmp_path / "f"
    with pytest.raises(DockerptyError, match=f"cannot read the file of variables {path}: No such file"):
        environment([], [str(path)])
    path.write_bytes(b"A=\xff\n")
    with pytest.raises(DockerptyError, match="it is not UTF-8"):
        environment([], [str(path)])


def test_a_file_without_an_end_is_told_of_and_not_read_for_ever() -> None:
    with pytest.raises(DockerptyError, match="of variables /dev/zero: it is longer than any such file"):
        environment([], ["/dev/zero"])


@pytest.mark.parametrize(
    ("variables", "here", "after"),
    [
        (["A=1"], {"TERM": "xterm"}, ["A=1", "TERM=xterm"]),
        ([], {"TERM": "dumb"}, ["TERM=dumb"]),
        (["TERM=vt100"], {"TERM": "xterm"}, ["TERM=vt100"]),
        (["TERM="], {"TERM": "xterm"}, ["TERM="]),
        (["TERM"], {"TERM": "xterm"}, ["TERM"]),
        (["TERMINAL=1"], {"TERM": "xterm"}, ["TERMINAL=1", "TERM=xterm"]),
        ([], {"TERM": ""}, []),
        ([], {}, []),
    ],
)
def test_a_terminal_is_told_which_it_is_unless_that_was_said(
    variables: list[str], here: dict[str, str], after: list[str]
) -> None:
    assert with_term(variables, here) == after


def test_only_a_container_with_a_terminal_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "vt220")
    assert container_config("busybox", tty=True)["Env"] == ["TERM=vt220"]
    assert container_config("busybox")["Env"] == []
