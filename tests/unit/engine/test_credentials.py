"""Who we are to a registry: from docker's configuration, or from a program that it names."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dockerpty.engine.configuration import Configuration
from dockerpty.engine.credentials import registry_auth
from tests.unit.cli.test_main import environment

SECRET = "pass:word"


def entry(user: str = "me", password: str = SECRET) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


class Config:
    """A directory of docker's configuration, and what was told of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.told: list[str] = []

    def asked(self, repository: str, **settings: Any) -> dict[str, Any] | None:
        """Give what a registry is told with these settings, by names in lower case; None for nothing."""
        (self.folder / "config.json").write_text(json.dumps(settings))
        configuration = Configuration(str(self.folder), notice=self.told.append)
        header = registry_auth(configuration, repository, self.told.append)
        if not header:
            return None
        return {key.lower(): value for key, value in json.loads(base64.urlsafe_b64decode(header)).items()}


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(tmp_path)


@pytest.fixture
def helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make a program that keeps passwords, `docker-credential-vault`."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    def make(script: str) -> None:
        program = tmp_path / "docker-credential-vault"
        program.write_text(f"#!/bin/sh\nread -r server\n{script}\n")
        program.chmod(0o755)

    return make


@pytest.mark.parametrize(
    ("key", "repository"),
    [
        ("there:5000", "there:5000/some/image"),
        ("https://there.io/v2/", "there.io/image"),
        ("http://localhost", "localhost/image"),
        ("https://index.docker.io/v1/", "busybox"),
        ("https://index.docker.io/v1/", "some/image"),
        ("https://index.docker.io/v1/", "docker.io/some/image"),
        ("docker.io", "index.docker.io/some/image"),
    ],
)
def test_what_is_kept_for_the_registry_of_an_image_is_found(
    key: str, repository: str, config: Config
) -> None:
    found = config.asked(repository, auths={"other:5000": entry("other"), key: entry()})
    assert found is not None
    assert (found["username"], found["password"], found["serveraddress"]) == ("me", SECRET, key)
    assert config.told == []


def test_a_token_takes_the_place_of_a_password(config: Config) -> None:
    auths = {"there.io": {**entry(), "identitytoken": "token"}}
    assert config.asked("there.io/image", auths=auths) == {"identitytoken": "token"}


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"auths": {}},
        {"auths": {"there.io": {}}},
        {"auths": {"elsewhere.io": entry()}},
        {"auths": [], "credsStore": 7},
    ],
)
def test_where_nothing_is_kept_we_are_nobody(settings: dict[str, Any], config: Config) -> None:
    assert config.asked("there.io/image", **settings) is None
    assert config.told == []


def test_a_program_is_asked_for_the_registry_and_only_for_its_own(config: Config, helper: Any) -> None:
    helper('echo "{\\"ServerURL\\":\\"$server\\",\\"Username\\":\\"me\\",\\"Secret\\":\\"of $server\\"}"')
    found = config.asked("there.io/image", credHelpers={"there.io": "vault"})
    assert found == {"serveraddress": "there.io", "username": "me", "password": "of there.io"}
    assert config.asked("elsewhere.io/image", credHelpers={"there.io": "vault"}) is None
    found = config.asked("busybox", credsStore="vault")
    assert found is not None
    assert found["password"] == "of https://index.docker.io/v1/"
    assert config.told == []


def test_a_program_may_give_a_token(config: Config, helper: Any) -> None:
    helper('echo \'{"Username":"<token>","Secret":"token"}\'')
    assert config.asked("there.io/image", credsStore="vault") == {
        "serveraddress": "there.io",
        "identitytoken": "token",
    }


def test_what_the_program_does_not_keep_may_be_in_the_file(config: Config, helper: Any) -> None:
    helper("echo credentials not found in native keychain; exit 1")
    assert config.asked("there.io/image", credsStore="vault") is None
    found = config.asked("there.io/image", credsStore="vault", auths={"there.io": entry()})
    assert found is not None
    assert found["username"] == "me"
    assert config.told == []


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (
            "echo 'it is locked'; exit 1",
            'Credentials store docker-credential-vault exited with "it is locked ".',
        ),
        (f"echo {SECRET}", "what is kept there makes no sense"),
        ("echo '{}'", "what is kept there makes no sense"),
        (None, "docker-credential-vault not installed or not available in PATH"),
    ],
)
def test_a_program_that_fails_is_told_of_and_left_alone(
    script: str | None, reason: str, config: Config, helper: Any
) -> None:
    if script is not None:
        helper(script)
    assert config.asked("there.io/image", credsStore="vault") is None
    path = config.folder / "config.json"
    assert config.told == [
        f"cannot use the credentials for there.io/image in {path}: {reason}; it is pulled without any"
    ]


@pytest.mark.parametrize(
    "broken",
    [
        {"auth": "no base64"},
        {"auth": base64.b64encode(SECRET.replace(":", "").encode()).decode()},
        {"auth": base64.b64encode(b"\xff:\xff").decode()},
        {"auth": 7},
        {"auth": None},
    ],
)
def test_an_entry_that_is_broken_is_told_of_without_a_word_of_it(
    broken: dict[str, Any], config: Config
) -> None:
    auths = {"broken.io": broken, "there.io": entry()}
    assert config.asked("broken.io/image", auths=auths) is None
    path = config.folder / "config.json"
    told = f"cannot use the credentials for broken.io/image in {path}: what is kept there makes no sense;"
    assert config.told == [f"{told} it is pulled without any"]
    # ... and it is no reason to be nobody elsewhere.
    assert config.asked("there.io/image", auths=auths) is not None


def test_an_entry_that_is_none_and_a_name_that_cannot_be_are_told_of(config: Config) -> None:
    assert config.asked("there.io/image", auths={"there.io": "me"}) is None
    assert config.asked("-there.io/image", auths={"there.io": entry()}) is None
    assert ["Invalid" in line for line in config.told] == [True, True]


def test_without_anything_kept_docker_py_is_not_loaded(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"currentContext": "default"}')
    code = (
        "import sys; from dockerpty.engine.configuration import Configuration\n"
        "from dockerpty.engine.credentials import registry_auth\n"
        f"assert registry_auth(Configuration({str(tmp_path)!r}), 'busybox', print) == ''\n"
        "assert 'docker' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, env=environment(), timeout=30, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
