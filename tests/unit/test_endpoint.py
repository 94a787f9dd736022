"""Where an engine is, from what people write and from what docker-py knows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import docker
import pytest

from dockerpty import endpoint
from dockerpty.endpoint import TLS, Endpoint, from_environment, of_client, parse, place
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


def test_the_environment_is_asked_unless_the_caller_says(tmp_path: Path) -> None:
    environ = {"DOCKER_HOST": "tcp://there:1"}
    assert from_environment(environ).name == "tcp://there:1"
    assert from_environment(environ, "tcp://here:2").name == "tcp://here:2"


def test_without_a_word_it_is_the_socket_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    docker_socket, runtime = tmp_path / "docker.sock", tmp_path / "run"
    monkeypatch.setattr(endpoint, "DEFAULT_SOCKET", str(docker_socket))
    user_socket = runtime / "podman" / "podman.sock"
    user_socket.parent.mkdir(parents=True)
    user_socket.touch()
    environ = {"XDG_RUNTIME_DIR": str(runtime)}
    assert from_environment(environ).path == str(user_socket)
    assert from_environment({**environ, "CONTAINER_HOST": "unix:///run/other.sock"}).path == "/run/other.sock"
    user_socket.unlink()
    assert from_environment(environ).path in (str(docker_socket), "/run/podman/podman.sock")
    docker_socket.touch()
    user_socket.touch()
    assert from_environment({**environ, "CONTAINER_HOST": "unix:///run/other.sock"}).path == str(
        docker_socket
    )


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
