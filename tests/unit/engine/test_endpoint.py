"""Where an engine is, from what people write and from what docker-py knows."""

from __future__ import annotations

import hashlib
import json
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from dockerpty.engine import endpoint
from dockerpty.engine.configuration import Configuration
from dockerpty.engine.endpoint import TLS, Endpoint, from_environment, of_client, parse, place, tls_of
from dockerpty.errors import DockerptyError


def parts(found: Endpoint | None) -> tuple[object, ...]:
    assert found is not None
    return found.kind, found.path or found.host, found.port, found.user


@pytest.mark.parametrize(
    ("url", "expected", "name"),
    [
        ("unix:///run/x.sock", ("unix", "/run/x.sock", 0, ""), "unix:///run/x.sock"),
        ("unix://run/x.sock", ("unix", "/run/x.sock", 0, ""), "unix:///run/x.sock"),
        ("/run/x.sock", ("unix", "/run/x.sock", 0, ""), "unix:///run/x.sock"),
        ("tcp://host", ("tcp", "host", 2375, ""), "tcp://host:2375"),
        ("tcp://host:99\n", ("tcp", "host", 99, ""), "tcp://host:99"),
        ("tcp://host:99", ("tcp", "host", 99, ""), "tcp://host:99"),
        ("host:99", ("tcp", "host", 99, ""), "tcp://host:99"),
        ("http://10.0.0.1:99/", ("tcp", "10.0.0.1", 99, ""), "tcp://10.0.0.1:99"),
        ("tcp://[::1]:99", ("tcp", "::1", 99, ""), "tcp://[::1]:99"),
        ("https://host", ("tcp", "host", 2376, ""), "tcp://host:2376"),
        ("ssh://host", ("ssh", "host", 0, ""), "ssh://host"),
        ("ssh://me@host:22", ("ssh", "host", 22, "me"), "ssh://me@host:22"),
    ],
)
def test_an_address_is_read_as_docker_reads_it(url: str, expected: tuple[object, ...], name: str) -> None:
    found = parse(url)
    assert parts(found) == expected
    assert found.name == name


def test_a_path_behind_a_port_goes_before_every_request() -> None:
    assert parse("tcp://host:99/engines/one/").base == "/engines/one"


def test_a_path_behind_an_ssh_host_is_the_socket_over_there() -> None:
    assert parse("ssh://me@host/run/x.sock").path == "/run/x.sock"


@pytest.mark.parametrize(
    "url",
    [
        "unix://",
        "unix:///",
        "tcp://",
        "tcp://:99",
        "tcp://host:port",
        "tcp://host:0",
        "tcp://host:65536",
        f"tcp://host:{'9' * 5000}",
        "tcp://host:²",
        "tcp://::1",
        "tcp://[::1",
        "tcp://[::1]99",
        "tcp://me@host",
        "tcp://host?x",
        "tcp://ho st",
        "ssh://",
        "npipe:////./pipe/docker_engine",
        "fd://",
        "gopher://host",
    ],
)
def test_an_address_that_makes_no_sense_is_refused_with_what_would(url: str) -> None:
    with pytest.raises(DockerptyError, match=r"cannot use the engine's address .*; use unix:///path"):
        parse(url)


def test_a_password_is_refused_and_not_shown() -> None:
    with pytest.raises(DockerptyError) as caught:
        parse("ssh://me:secret@host")
    assert "secret" not in str(caught.value)
    with pytest.raises(DockerptyError) as caught:
        parse("tcp://me:secret@host")
    assert "secret" not in str(caught.value)
    with pytest.raises(DockerptyError) as caught:
        parse("me:secret@host:2375")
    assert "secret" not in str(caught.value)


def test_the_environment_is_asked_unless_the_caller_says(tmp_path: Path) -> None:
    environ = {"DOCKER_HOST": "tcp://there:1"}
    assert from_environment(environ).name == "tcp://there:1"
    assert from_environment(environ, "tcp://here:2").name == "tcp://here:2"


class Sockets:
    """Where the local engines of a made-up machine would listen."""

    def __init__(self, folder: Path) -> None:
        self.docker = folder / "docker.sock"
        self.users = folder / "podman" / "podman.sock"
        self.systems = folder / "system.sock"
        self.users.parent.mkdir()
        self.environ = {"XDG_RUNTIME_DIR": str(folder), "DOCKER_CONFIG": str(folder)}
        self._open: list[socket.socket] = []

    def found(self, **environ: str) -> str:
        return from_environment({**self.environ, **environ}).path

    def listen(self, *paths: Path) -> None:
        for path in paths:
            path.unlink(missing_ok=True)
            self._open.append(socket.socket(socket.AF_UNIX))
            self._open[-1].bind(str(path))
            self._open[-1].listen(0)

    def die(self, *paths: Path) -> None:
        """Leave sockets behind on which nobody listens, as a killed engine does."""
        for path in paths:
            path.unlink(missing_ok=True)
            with socket.socket(socket.AF_UNIX) as sock:
                sock.bind(str(path))

    def close(self) -> None:
        for sock in self._open:
            sock.close()


@pytest.fixture
def sockets(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sockets]:
    # Short: the address of a unix socket has 108 bytes.
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        made = Sockets(Path(folder))
        monkeypatch.setattr(endpoint, "DEFAULT_SOCKET", str(made.docker))
        monkeypatch.setattr(endpoint, "PODMAN_SOCKETS", (str(made.systems),))
        yield made
        made.close()


OTHER = "unix:///run/other.sock"


def test_without_a_word_it_is_dockers_socket_whatever_else_is_there(sockets: Sockets) -> None:
    sockets.listen(sockets.docker, sockets.users, sockets.systems)
    assert sockets.found() == str(sockets.docker)
    assert sockets.found(CONTAINER_HOST=OTHER) == str(sockets.docker)


@pytest.mark.parametrize("dead", [False, True])
def test_podman_is_found_where_docker_is_not_there_or_dead(sockets: Sockets, dead: bool) -> None:
    if dead:
        sockets.die(sockets.docker)
    assert sockets.found() == str(sockets.docker)
    sockets.listen(sockets.systems)
    assert sockets.found() == str(sockets.systems)
    sockets.listen(sockets.users)
    assert sockets.found() == str(sockets.users)
    assert sockets.found(CONTAINER_HOST=OTHER) == "/run/other.sock"


@pytest.mark.parametrize("environ", [{}, {"DOCKER_TLS_VERIFY": "1"}])
def test_an_engine_that_podmans_variable_names_is_spoken_to_by_tls_where_that_is_asked_for(
    environ: dict[str, str], sockets: Sockets, tmp_path: Path
) -> None:
    asked = {**sockets.environ, "CONTAINER_HOST": "tcp://there", "DOCKER_CERT_PATH": str(tmp_path), **environ}
    found = from_environment(asked, tlsverify=None if environ else True)
    assert (found.name, found.tls) == ("tcp://there:2376", TLS(f"{tmp_path}/ca.pem"))
    assert from_environment({**asked, "DOCKER_TLS_VERIFY": ""}).tls is None


def test_of_two_that_are_dead_docker_is_spoken_of(sockets: Sockets) -> None:
    sockets.die(sockets.docker, sockets.users)
    assert sockets.found() == str(sockets.docker)
    sockets.listen(sockets.systems)
    assert sockets.found() == str(sockets.systems)


def test_docker_that_is_busy_or_not_ours_is_not_dead(
    sockets: Sockets, monkeypatch: pytest.MonkeyPatch
) -> None:
    sockets.listen(sockets.docker, sockets.users)
    with socket.socket(socket.AF_UNIX) as waiting:
        waiting.connect(str(sockets.docker))
        assert sockets.found() == str(sockets.docker)

    def forbidden(self: socket.socket, address: object) -> None:
        raise PermissionError

    monkeypatch.setattr("socket.socket.connect", forbidden, raising=False)
    assert sockets.found() == str(sockets.docker)


# Contexts, as docker writes them


def context(folder: Path, name: str, engine: dict[str, object], *files: str) -> Path:
    """Make a context as `docker context create` does; give the directory of its TLS files."""
    identity = hashlib.sha256(name.encode()).hexdigest()
    meta = folder / "contexts" / "meta" / identity
    meta.mkdir(parents=True)
    (meta / "meta.json").write_text(
        json.dumps({"Name": name, "Metadata": {}, "Endpoints": {"docker": engine}})
    )
    tls = folder / "contexts" / "tls" / identity / "docker"
    tls.mkdir(parents=True)
    for file in files:
        (tls / file).touch()
    return tls


def of(tmp_path: Path, host: str | None = None, context: str | None = None, **environ: str) -> Endpoint:
    return from_environment({"DOCKER_CONFIG": str(tmp_path), **environ}, host, context=context)


def test_what_names_an_engine_counts_in_dockers_order(tmp_path: Path) -> None:
    for name in ("flag", "variable", "current"):
        context(tmp_path, name, {"Host": f"tcp://{name}:1"})
    (tmp_path / "config.json").write_text('{"currentContext": "current"}')
    everything = {"DOCKER_HOST": "tcp://address:1", "DOCKER_CONTEXT": "variable"}
    assert of(tmp_path, context="flag", **everything).host == "flag"
    assert of(tmp_path, "tcp://typed:1", **everything).host == "typed"
    assert of(tmp_path, **everything).host == "address"
    assert of(tmp_path, DOCKER_CONTEXT="variable").host == "variable"
    assert of(tmp_path, DOCKER_CONTEXT="").host == "current"
    assert of(tmp_path, "", "").host == "current"


def test_the_default_context_is_none(tmp_path: Path) -> None:
    context(tmp_path, "current", {"Host": "tcp://current:1"})
    (tmp_path / "config.json").write_text('{"currentContext": "current"}')
    assert of(tmp_path, context="default", DOCKER_HOST="tcp://address:1").host == "address"
    assert of(tmp_path, context="default", CONTAINER_HOST="").kind == "unix"
    assert of(tmp_path, DOCKER_CONTEXT="default").kind == "unix"


def test_the_address_alone_is_enough_and_the_configuration_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    told: list[str] = []
    configuration = Configuration(str(tmp_path), notice=told.append)
    for environ, host in (({}, "tcp://here:1"), ({"DOCKER_HOST": "tcp://here:1"}, None)):
        assert from_environment(environ, host, configuration=configuration).host == "here"
    assert from_environment({"DOCKER_CONTEXT": "default"}, configuration=configuration).kind == "unix"
    assert told == []
    from_environment({}, configuration=configuration)
    from_environment({}, configuration=configuration)
    assert len(told) == 1


def test_a_context_has_its_own_tls_and_no_other(tmp_path: Path) -> None:
    environ = {"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "/no/such"}
    host: dict[str, object] = {"Host": "tcp://host"}
    context(tmp_path, "plain", {**host, "SkipTLSVerify": False})
    assert of(tmp_path, context="plain", **environ).tls is None
    files = ("ca.pem", "cert.pem", "key.pem")
    place = context(tmp_path, "all", {**host, "SkipTLSVerify": False}, *files)
    found = of(tmp_path, context="all")
    assert found.tls == TLS(f"{place}/ca.pem", f"{place}/cert.pem", f"{place}/key.pem")
    assert found.name == "tcp://host:2376"
    place = context(tmp_path, "half", {**host}, "ca.pem", "cert.pem")
    assert of(tmp_path, context="half").tls == TLS(f"{place}/ca.pem")
    context(tmp_path, "skip", {**host, "SkipTLSVerify": True}, "ca.pem")
    assert of(tmp_path, context="skip").tls == TLS(verify=False)
    context(tmp_path, "unix", {"Host": "unix:///x.sock"})
    assert of(tmp_path, context="unix", **environ).tls is None
    context(tmp_path, "local", {})
    assert of(tmp_path, context="local").path == endpoint.DEFAULT_SOCKET


def test_an_unknown_context_is_refused_with_the_near_ones(tmp_path: Path) -> None:
    words = f"cannot use the context 'staging': {tmp_path} has none of that name; "
    for names, hint in (
        ((), "there are: default"),
        (("web",), "there are: default, web"),
        (("stagings", "Staging"), "did you mean stagings or Staging?"),
        (tuple(f"n{number}" for number in range(9)), "did you mean stagings or Staging?"),
    ):
        for name in names:
            context(tmp_path, name, {"Host": "tcp://host"})
        with pytest.raises(DockerptyError) as caught:
            of(tmp_path, context="staging")
        assert str(caught.value) == words + hint
    with pytest.raises(DockerptyError, match=r"there are: default, Staging, n0, n1, n2, n3, n4, n5 \.\.\.$"):
        of(tmp_path, context="../../x")


# An address that no command line, and no variable, can have.
_UNTYPED = r'{"Endpoints": {"docker": {"Host": "unix:///\ud800"}}}'


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"Name": "odd"}',
        '{"Endpoints": {"docker": 3}}',
        '{"Endpoints": {"docker": {"Host": 3}}}',
        _UNTYPED,
    ],
)
def test_a_file_that_is_no_context_is_named(text: str, tmp_path: Path) -> None:
    context(tmp_path, "odd", {})
    (file,) = tmp_path.glob("contexts/meta/*/meta.json")
    file.write_text(text)
    with pytest.raises(DockerptyError) as caught:
        of(tmp_path, context="odd")
    assert str(caught.value) == f"cannot use the context 'odd': {file} names no engine; make the context anew"


def test_tls_files_that_cannot_be_looked_at_are_no_reason_to_go_without_tls(tmp_path: Path) -> None:
    place = context(tmp_path, "odd", {"Host": "tcp://host:2376"})
    place.rmdir()
    place.symlink_to(place)
    with pytest.raises(DockerptyError, match=r"/docker: Too many levels of symbolic links; look at the dir"):
        of(tmp_path, context="odd")


def test_a_name_that_no_file_can_have_is_an_unknown_context(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(r'{"currentContext": "\ud800"}')
    with pytest.raises(DockerptyError, match="has none of that name; there are: default"):
        of(tmp_path)


def test_a_context_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    context(tmp_path, "odd", {})
    (file,) = tmp_path.glob("contexts/meta/*/meta.json")
    file.unlink()
    file.mkdir()
    with pytest.raises(DockerptyError, match=r"meta\.json: Is a directory; look at the file"):
        of(tmp_path, context="odd")


def test_a_variable_that_does_not_count_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    of(tmp_path, DOCKER_HOST="tcp://there:1", DOCKER_CONTEXT="x")
    assert caplog.messages == ["DOCKER_HOST counts, DOCKER_CONTEXT=x does not"]


def test_tls_is_taken_from_the_environment(tmp_path: Path) -> None:
    for name in ("ca.pem", "cert.pem", "key.pem"):
        (tmp_path / name).touch()
    environ = {"DOCKER_HOST": "tcp://host", "DOCKER_CERT_PATH": str(tmp_path), "DOCKER_TLS_VERIFY": "1"}
    found = from_environment(environ)
    assert found.port == 2376
    assert found.tls == TLS(f"{tmp_path}/ca.pem", f"{tmp_path}/cert.pem", f"{tmp_path}/key.pem")
    unverified = from_environment({**environ, "DOCKER_TLS_VERIFY": "", "DOCKER_TLS": "1"}).tls
    assert unverified == TLS("", f"{tmp_path}/cert.pem", f"{tmp_path}/key.pem", False)
    assert from_environment({**environ, "DOCKER_TLS_VERIFY": ""}).tls is None
    (tmp_path / "cert.pem").unlink()
    assert from_environment(environ).tls == TLS(f"{tmp_path}/ca.pem", "", f"{tmp_path}/key.pem")


def test_what_is_missing_in_the_directory_of_certificates_is_missed_by_who_reads_it(tmp_path: Path) -> None:
    environ = {"DOCKER_HOST": "tcp://host", "DOCKER_CERT_PATH": str(tmp_path), "DOCKER_TLS_VERIFY": "1"}
    assert from_environment(environ).tls == TLS(f"{tmp_path}/ca.pem")
    environ["DOCKER_CERT_PATH"] = "/no/such"
    assert from_environment(environ).tls == TLS("/no/such/ca.pem", "/no/such/cert.pem", "/no/such/key.pem")
    unverified = {**environ, "DOCKER_TLS_VERIFY": "", "DOCKER_TLS": "1"}
    assert from_environment(unverified).tls == TLS("", "/no/such/cert.pem", "/no/such/key.pem", False)


@pytest.mark.parametrize(
    ("flags", "environ", "expected"),
    [
        ({}, {}, None),
        ({"tls": True}, {}, ("", False)),
        ({"tlsverify": True}, {}, ("ca.pem", True)),
        ({"tls": True, "tlsverify": True}, {}, ("ca.pem", True)),
        ({"tlsverify": False}, {}, ("", False)),
        ({"tlsverify": False}, {"DOCKER_TLS_VERIFY": "1"}, ("", False)),
        ({"tls": False}, {"DOCKER_TLS": "1"}, None),
        ({"tls": False}, {"DOCKER_TLS_VERIFY": "1"}, ("ca.pem", True)),
        ({"tls": True}, {"DOCKER_TLS_VERIFY": "1"}, ("ca.pem", True)),
        ({"tlscacert": "/x"}, {}, None),
    ],
)
def test_flags_of_tls_win_over_the_variables(
    flags: dict[str, bool], environ: dict[str, str], expected: tuple[str, bool] | None, tmp_path: Path
) -> None:
    (tmp_path / "ca.pem").touch()
    found = from_environment({"DOCKER_CONFIG": str(tmp_path), **environ}, "tcp://host", **flags).tls  # type: ignore[arg-type]  # flags by their names
    if expected is None:
        assert found is None
    else:
        ca, verify = expected
        assert found == TLS(f"{tmp_path}/{ca}" if ca else "", verify=verify)


def test_files_of_tls_that_are_named_stand_for_those_in_the_directory(tmp_path: Path) -> None:
    for name in ("ca.pem", "cert.pem", "key.pem"):
        (tmp_path / name).touch()
    found = tls_of({"DOCKER_CERT_PATH": str(tmp_path)}, "", None, True, "/a", "/b", "/c")
    assert found == TLS("/a", "/b", "/c")
    assert tls_of({"DOCKER_CERT_PATH": str(tmp_path)}, "", None, True, tlskey="/c") == TLS(
        f"{tmp_path}/ca.pem", f"{tmp_path}/cert.pem", "/c"
    )


def test_without_a_directory_of_certificates_the_one_at_home_may_be_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert from_environment({"DOCKER_HOST": "tcp://host", "DOCKER_TLS_VERIFY": "1"}).tls == TLS()


def test_what_is_not_ascii_is_spelled_so_that_it_can_be_sent() -> None:
    found = parse("tcp://bücher.example:99/ł/%41")
    assert (found.host, found.base) == ("xn--bcher-kva.example", "/%C5%82/%41")
    assert found.name == "tcp://bücher.example:99/ł/%41"
    with pytest.raises(DockerptyError, match="its host is no name that can be"):
        parse("tcp://" + "ü" * 70)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("tcp://host:99/base", "host:99"),
        ("tcp://[::1]:99", "[::1]:99"),
        ("tcp://[fe80::1%eth0]:99", "[fe80::1]:99"),
    ],
)
def test_the_place_of_an_engine_is_what_a_host_header_has(url: str, expected: str) -> None:
    assert place(parse(url)) == expected


# docker-py's clients, made by itself: nothing is connected, since the version is given.


def client(url: str, **options: Any) -> Any:
    return docker.APIClient(base_url=url, version="1.41", **options)


def test_docker_pys_address_is_read_off_its_client(tmp_path: Path) -> None:
    with client("unix:///run/x.sock") as api:
        assert parts(of_client(api)) == ("unix", "/run/x.sock", 0, "")
    with client("tcp://host:99") as api:
        assert parts(of_client(api)) == ("tcp", "host", 99, "")
    with client("ssh://me@host:22", use_ssh_client=True) as api:
        assert parts(of_client(api)) == ("ssh", "host", 22, "me")


def test_docker_pys_tls_is_read_off_its_client(tmp_path: Path) -> None:
    files = [str(tmp_path / name) for name in ("ca.pem", "cert.pem", "key.pem")]
    for file in files:
        Path(file).touch()
    tls = docker.tls.TLSConfig(client_cert=(files[1], files[2]), ca_cert=files[0], verify=True)
    with client("tcp://host:99", tls=tls) as api:
        found = of_client(api)
    assert found is not None
    assert found.tls == TLS(files[0], files[1], files[2])
    with client("tcp://host:99", tls=docker.tls.TLSConfig(verify=False)) as api:
        found = of_client(api)
    assert found is not None
    assert found.tls == TLS(verify=False)


def test_a_paramiko_client_goes_along_with_its_address() -> None:
    with client("ssh://me@host", use_ssh_client=True) as api:
        api._custom_adapter.ssh_client = ssh = Stub()
        found = of_client(api)
    assert found is not None
    assert (found.kind, found.client, found.name) == ("paramiko", ssh, "ssh://me@host:22")
    assert ssh.closed


class Stub:
    closed = False

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize(
    ("url", "missing"),
    [
        ("unix:///x", "base_url"),
        ("unix:///x", "_custom_adapter"),
        ("https://host:1", "verify"),
        ("https://host:1", "cert"),
    ],
)
def test_a_client_without_one_of_the_names_is_not_looked_into(url: str, missing: str) -> None:
    with client(url) as api:
        value = getattr(api, missing)
        delattr(api, missing)
        assert of_client(api) is None
        setattr(api, missing, value)


def test_what_is_no_docker_py_client_has_no_address() -> None:
    assert of_client(object()) is None
