"""Every flag of `run` about its container: what `dpty` asks of the engine is what docker's own command asks.

Both are run against a recorder, so that no container has to be made: compared is what a flag changes in the request.
At the end some are created on a real engine, and inspected.
"""

from __future__ import annotations

import base64
import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from dockerpty.cli import main
from tests.bed.engine import IMAGE, Bench
from tests.bed.proxy import Proxy
from tests.bed.recorder import Recorder
from tests.conftest import missing
from tests.engine.command import docker as docker_command
from tests.engine.command import dpty
from tests.engine.conftest import Sessions

TAIL = ("image", "command", "-x")
Body = dict[str, Any]


@pytest.fixture(scope="module")
def program() -> str:
    found = shutil.which("docker")
    if found is None:
        missing("no docker command to compare with")
        raise FileNotFoundError("docker")
    return found


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    with Recorder() as recorder:
        yield recorder


@pytest.fixture(autouse=True)
def nothing_of_ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither a configuration nor a terminal of whoever runs the tests, and files that flags name."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    for name in ("TERM", "DOCKER_HOST", "DOCKER_CONTEXT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HERE", "yes")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "labels").write_text("# no label\nfrom.file=1\nboth=file\nbare\n")
    (tmp_path / "variables").write_text("FROM_FILE=1\nBOTH=file\nHERE\n")
    (tmp_path / "profile.json").write_text('{ "defaultAction": "SCMP_ACT_ALLOW",\n  "syscalls": [] }\n')


def of_docker(program: str, recorder: Recorder, flags: list[str]) -> tuple[Body, str]:
    subprocess.run(
        [program, "run", *flags, *TAIL],
        capture_output=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "DOCKER_HOST": recorder.url},
        check=False,
    )
    return recorder.take()


def of_dpty(recorder: Recorder, flags: list[str]) -> tuple[Body, str]:
    main(["-H", recorder.url, "run", *flags, *TAIL])
    return recorder.take()


def changes(plain: Body, body: Body) -> dict[tuple[str, ...], Any]:
    """What stands in a body that does not stand in the plain one; what is not there, and null, is the same."""
    before, after = leaves(tidy(plain)), leaves(tidy(body))
    return {path: value for path, value in after.items() if path not in before or before[path] != value}


def tidy(body: Body) -> Body:
    """Take out what is ours, and what one writes and the other leaves out without meaning anything else by it."""
    labels = body.get("Labels") or {}
    body = {**body, "Labels": {key: labels[key] for key in labels if not key.startswith("dockerpty.")}}
    host = body["HostConfig"] = dict(body["HostConfig"])
    host.pop("ConsoleSize", None)  # of a terminal that there is not
    # docker keeps them in maps, which have no order.
    body["Env"] = sorted(body.get("Env") or [])
    host["Binds"] = sorted(host.get("Binds") or [])
    host["LogConfig"] = {key: value for key, value in (host.get("LogConfig") or {}).items() if value}
    ends = (body.get("NetworkingConfig") or {}).get("EndpointsConfig") or {}
    body["NetworkingConfig"] = {
        name: without_nothing(end) for name, end in ends.items() if name != "default" or without_nothing(end)
    }
    return body


def leaves(value: Any, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    if isinstance(value, dict) and value:
        return {at: leaf for key in value for at, leaf in leaves(value[key], (*path, key)).items()}
    if isinstance(value, list):
        value = [without_nothing(each) for each in value]
    return {} if value is None else {path: value}


def without_nothing(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: without_nothing(each) for key, each in value.items() if without_nothing(each) or each is True
        }
    return value


SAME = [
    # One of each kind, and what goes together
    "--memory 1.5g --memory-swap -1 --memory-reservation 10kb --kernel-memory 5MiB --shm-size '1 G'",
    "--memory 0 --memory-swap 2g --memory-swappiness 0",
    "--memory-swappiness -1 --cpus 0 --restart no --cpu-shares 0",
    "--cpus 1.5 --cpuset-cpus 0-3 --cpuset-mems 0,1 -c 0x10 --cpu-period 010 --cpu-quota -1",
    "--cpus 1/2 --cpu-rt-period 1000 --cpu-rt-runtime 0b11",
    "--cpus 1e-1 --blkio-weight 300 --blkio-weight-device /dev/a:200 --blkio-weight-device /dev/b:0",
    "--cpus .5 --device-read-bps /dev/a:1mb --device-write-bps /dev/a:5",
    "--device-read-iops /dev/a:100 --device-write-iops /dev/a:0 --device-write-iops /dev/b:7",
    "--pids-limit -1 --oom-score-adj -500 --oom-kill-disable --pid host --uts host --userns host",
    "--pids-limit 5 --ipc shareable --pid container:x --cgroupns private --cgroup-parent /some/where",
    "--ulimit nofile=10:20 --ulimit core=-1 --ulimit nofile=30 --ulimit cpu=1:-1",
    "--cap-add net_raw --cap-add CAP_SYS_PTRACE --cap-drop all --cap-drop CHOWN --cap-add net_raw --privileged",
    "--cap-add ALL --cap-add foo --group-add 5 --group-add audio",
    "--security-opt no-new-privileges --security-opt label:disable --security-opt apparmor=unconfined",
    "--security-opt seccomp=profile.json --security-opt no-new-privileges=true",
    "--security-opt systempaths=unconfined --security-opt seccomp=unconfined",
    "--device /dev/fuse --device /dev/a:/dev/b:rw --device /dev/c:r --device /dev/d:/dev/e",
    "--device vendor.com/class=one --gpus all --device vendor.com/class=two",
    "--device-cgroup-rule 'c 1:3 rw' --device-cgroup-rule 'a *:* rwm'",
    "--gpus 2",
    "--gpus all,capabilities=utility",
    "--gpus device=1",
    """--gpus '"device=0,1",driver=nvidia,"capabilities=compute,utility","options=a=b,c=d"'""",
    "--health-cmd 'x y' --health-interval 1m30s --health-timeout 500ms --health-start-period 1.5h --health-retries 3",
    "--health-interval 1h2m3.5s",
    "--health-retries 2 --health-cmd ''",
    "--no-healthcheck --stop-signal SIGINT --stop-timeout 0",
    "--stop-timeout -1 --restart on-failure:3",
    "--restart unless-stopped --init",
    "--restart on-failure --init=false",
    "--rm --restart no --read-only --runtime runc --isolation default",
    "--log-driver json-file --log-opt a=b --log-opt c --log-opt a=d",
    "--log-opt max-size=1m --storage-opt size=5G --sysctl net.core.somaxconn=1 --sysctl net.a=",
    "--tmpfs /a --tmpfs /b:size=1m,mode=1777 --volumes-from a:ro --volumes-from b --volume-driver local",
    "-v /own -v /own -v name:/n:ro -v ./x:/x -v ../y:/y -v /abs:/abs:rw,z -v .:/here -v '~:/z'",
    "--mount type=bind,src=../x,dst=/y,readonly",
    "--mount type=bind,source=.x,destination=/y,ro=0,bind-propagation=RSlave,consistency=Cached",
    "--mount type=bind,src=/x,target=/y,bind-nonrecursive --mount dst=/z",
    "--mount type=bind,src=/x,dst=/y,bind-recursive=disabled --mount type=bind,src=/x,dst=/z,bind-recursive=enabled",
    "--mount src=x,dst=/y,volume-opt=a=b,volume-opt=c=d=e,volume-label=x=y,volume-label=z,volume-nocopy",
    "--mount src=x,dst=/y,volume-driver=local,volume-subpath=q,volume-nocopy=false,readonly=T",
    "--mount type=TMPFS,dst=/y,tmpfs-size=64m,tmpfs-mode=1770 --mount type=tmpfs,dst=/z",
    "--mount type=image,src=x,dst=/y,image-subpath=q --mount type=npipe,src=a,dst=b",
    '--mount \'"type=bind","src=/a,b",dst=/y\' --mount \'type=bind,"src=/a ""q""",dst=/z\'',
    "-p 80 -p 127.0.0.1:81-82:91-92/udp -p [::1]:7:7 -p 9000-9010:80 -p 127.0.0.1::5 -p 80:80/ -p 1:2/SCTP",
    "-p published=8080,target=80,protocol=udp -p target=81 -p ::1:7:7 -P --expose 7",
    "--expose 80-82/udp --expose 90 --expose 91/ -p 90",
    "--network net",
    "--net host --uts host",
    "--network container:x",
    "--network name=net",
    "--network name=",
    "--network one --network name=two,alias=x",
    "--network name=net,alias=x,alias=y,ip=10.0.0.2,ip6=fe80::1,driver-opt=a=b,link-local-ip=169.254.1.1",
    "--network net --ip 10.0.0.3 --ip6 fe80::1 --link-local-ip 169.254.1.1 --network-alias q --link a:b",
    "--network name=net,ip=10.0.0.2 --net-alias q --link a",
    "--ip 10.0.0.3 --link a:b --link /x:/y/b",
    "--add-host a:1.2.3.4 --add-host b=::1 --add-host c:host-gateway --add-host d:[::1] --add-host e=1.2.3.4",
    "--dns 1.1.1.1 --dns 2001:0:0::0001 --dns ::ffff:1.2.3.4 --dns-search example.com. --dns-search .",
    "--dns-option ndots:1 --dns-opt debug --dns-search ' a-b.c ' --domainname d -h box",
    "-e A=1 -e B= -e HERE -e NOT_SET_HERE --env-file variables -e BOTH=line",
    "-l a=b -l c --label-file labels -l both=line -l d=e=f",
    "-u 1:2 -w /w --entrypoint '' --name box",
    "--entrypoint /e -it --disable-content-trust",
    "--platform linux/arm64 --pull never",
    "--cidfile id -q --pull missing",
]


@pytest.mark.parametrize("flags", SAME)
def test_dpty_asks_the_engine_for_what_docker_asks_it_for(
    flags: str, program: str, recorder: Recorder
) -> None:
    given = ["-d", *shlex.split(flags)]
    plain, plain_query = of_docker(program, recorder, ["-d"])
    ours_plain, _ = of_dpty(recorder, ["-d"])
    theirs, their_query = of_docker(program, recorder, given)
    Path("id").unlink(missing_ok=True)
    ours, our_query = of_dpty(recorder, given)
    assert changes(ours_plain, ours) == changes(plain, theirs)
    assert our_query == their_query
    assert plain_query == ""


@pytest.mark.parametrize(
    ("flags", "nanoseconds"),
    [
        ("--health-start-interval 1.5s", 1_500_000_000),
        ("--health-cmd x --health-start-interval=5ms", 5_000_000),
        ("--health-start-interval 0", None),
    ],
)
def test_what_newer_engines_know_is_asked_of_them_as_docker_asks_it(
    flags: str, nanoseconds: int | None, program: str
) -> None:
    with Recorder("1.44") as recorder:
        plain, _ = of_docker(program, recorder, ["-d"])
        ours_plain, _ = of_dpty(recorder, ["-d"])
        theirs, _ = of_docker(program, recorder, ["-d", *shlex.split(flags)])
        ours, _ = of_dpty(recorder, ["-d", *shlex.split(flags)])
    assert changes(ours_plain, ours) == changes(plain, theirs)
    assert changes(ours_plain, ours).get(("Healthcheck", "StartInterval")) == nanoseconds


def test_what_newer_engines_know_is_refused_on_an_older_one_as_docker_does(
    program: str, recorder: Recorder, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["-H", recorder.url, "run", "-d", "--health-start-interval", "3s", *TAIL])
    reason = "the engine speaks API 1.41 and knows it only from 1.44 on; leave it out"
    assert (code, capsys.readouterr()) == (125, ("", f"dpty: cannot use --health-start-interval: {reason}\n"))
    done = subprocess.run(
        [program, "run", "-d", "--health-start-interval", "3s", *TAIL],
        capture_output=True,
        timeout=60,
        env={**os.environ, "DOCKER_HOST": recorder.url},
        check=False,
    )
    assert done.returncode != 0
    assert b"requires API version 1.44" in done.stderr
    assert recorder.created == []


@pytest.mark.parametrize(
    "flags", ["", "-i", "-t", "-a stdout", "-a STDERR -i", "-a stdin", "-a stdin -a stdout -i"]
)
def test_what_is_attached_is_what_docker_attaches(flags: str, program: str, recorder: Recorder) -> None:
    given = flags.split()
    theirs, _ = of_docker(program, recorder, given)
    ours, _ = of_dpty(recorder, given)
    names = ("AttachStdin", "AttachStdout", "AttachStderr", "OpenStdin", "StdinOnce", "Tty")
    assert [ours.get(name) for name in names] == [theirs.get(name) for name in names]


def test_a_plain_container_differs_from_dockers_only_in_what_an_engine_adds(
    program: str, recorder: Recorder
) -> None:
    theirs, _ = of_docker(program, recorder, ["-d"])
    ours, _ = of_dpty(recorder, ["-d"])
    added = {path: value for path, value in changes(ours, theirs).items() if value}
    assert added == {
        ("HostConfig", "NetworkMode"): "default",
        ("HostConfig", "MemorySwappiness"): -1,
    }
    assert {path: value for path, value in changes(theirs, ours).items() if value} == {}


@pytest.mark.parametrize(
    "flags", ["", "-e http_proxy=mine", "-e HTTPS_PROXY -e no_proxy=", "-e A=1 --network host -e ALL_PROXY=x"]
)
@pytest.mark.parametrize("own", [False, True])
def test_the_proxies_of_the_configuration_are_dockers_variables(
    own: bool, flags: str, program: str, recorder: Recorder, tmp_path: Path
) -> None:
    default = {"httpProxy": "a", "httpsProxy": "b", "noProxy": "c", "ftpProxy": "d", "allProxy": "e"}
    proxies = {"default": default, **({recorder.url: {"httpProxy": "f", "noProxy": ""}} if own else {})}
    (tmp_path / "config.json").write_text(json.dumps({"proxies": proxies}))
    theirs, _ = of_docker(program, recorder, ["-d", *shlex.split(flags)])
    ours, _ = of_dpty(recorder, ["-d", *shlex.split(flags)])
    assert sorted(ours["Env"]) == sorted(theirs["Env"])
    assert len(ours["Env"]) >= (2 if own else 10)


@pytest.mark.parametrize(
    "image", ["busybox", "there:5000/busybox", "helped.io/busybox", "nobody.io/some/busybox"]
)
def test_a_registry_is_told_what_docker_tells_it(
    image: str, program: str, recorder: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    helper = tmp_path / "docker-credential-vault"
    helper.write_text('#!/bin/sh\necho \'{"Username":"them","Secret":"theirs"}\'\n')
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    auths = {
        name: {"auth": base64.b64encode(f"me:of {name}".encode()).decode()}
        for name in ("https://index.docker.io/v1/", "there:5000", "elsewhere.io")
    }
    settings = {"auths": auths, "credHelpers": {"helped.io": "vault"}}
    (tmp_path / "config.json").write_text(json.dumps(settings))
    monkeypatch.setattr(f"{__name__}.TAIL", (image, "true"))
    of_docker(program, recorder, ["-d", "--pull", "always"])
    of_dpty(recorder, ["-d", "--pull", "always"])
    theirs, ours = recorder.credentials
    names = ("username", "password", "identitytoken")
    assert [ours.get(name) for name in names] == [theirs.get(name) for name in names]
    assert bool(ours.get("username")) is ("nobody" not in image)


REFUSED = [
    *("--memory -1", "--memory 1x", "--memory ''", "--memory k", "--memory 1.2.3", "--memory-swap x"),
    *("--cpus x", "--cpus 0.0000000001", "--cpus 1/0", "--cpus ''", "--cpu-shares x", "--cpu-quota 1.5"),
    *("--memory-swappiness 101", "--blkio-weight 70000", "--blkio-weight -1", "--oom-score-adj 1x"),
    *("--blkio-weight-device /dev/a:5", "--blkio-weight-device a:20", "--blkio-weight-device /dev/a"),
    *("--device-read-iops /dev/a:1m", "--device-read-bps a:1m", "--device-write-bps /dev/a:x"),
    *("--device fuse", "--device /dev/a:/dev/b:q", "--device ''", "--device /a:/b:r:w", "--device /a:b"),
    *("--device-cgroup-rule 'x 1:3 rw'", "--device-cgroup-rule 'c 1 rw'", "--device-cgroup-rule c"),
    *(
        "--ulimit foo=1",
        "--ulimit nofile",
        "--ulimit nofile=2:1",
        "--ulimit nofile=1:2:3",
        "--ulimit nofile=x",
    ),
    *("--ulimit nofile=-1:5", "--gpus x=1", "--gpus ''", "--gpus all,count=2", "--gpus x", "--gpus 'a\"b'"),
    *("--health-interval 5", "--health-interval x", "--health-timeout=-1s", "--health-retries -1"),
    *(
        "--health-start-period ''",
        "--health-start-interval x",
        "--no-healthcheck --health-retries 3",
        "--stop-timeout x",
    ),
    *("--restart on-failure:x", "--restart :3", "--rm --restart always", "--pid container:", "--pid x"),
    *("--uts x", "--userns x", "--cgroupns x", "--log-opt a=b --log-driver none", "--storage-opt size"),
    *("--security-opt apparmor", "--security-opt seccomp=no-such-file", "--security-opt seccomp=labels"),
    *(
        "--sysctl x",
        "--add-host a",
        "--add-host a:300.1.1.1",
        "--add-host a:b:1.1.1.1",
        "--add-host :1.1.1.1",
    ),
    *("--dns x", "--dns-search -x", "--dns-search a_b", "--dns-search 5", "--link ''", "--link a:b:c"),
    *(
        "-p 70000",
        "-p x",
        "-p 1:2:3",
        "-p 90-80",
        "-p 80-81:90-95",
        "-p 80/foo",
        "-p ''",
        "-p 80:",
        "-p 80=81",
    ),
    *("--expose 80:90", "--expose 90-80", "--expose ''", "--expose x", "--mac-address x"),
    *("--network ''", "--network alias=x", "--network a=b", "--network name=a,foo", "--network-alias q"),
    *("--network host --network net", "--network net --network net", "--network host --network-alias x"),
    *("--network name=net,alias=x --network-alias y", "--network name=net,ip=1.1.1.1 --ip 1.1.1.2"),
    *(
        "--mount ''",
        "--mount type=bind,src=/a",
        "--mount type=bind,dst=/a,volume-nocopy",
        "--mount x=y,dst=/a",
    ),
    *("--mount dst=/a,readonly=maybe", "--mount type=tmpfs,dst=/a,tmpfs-mode=9", "--mount dst=/a,foo"),
    *("--mount type=tmpfs,dst=/a,tmpfs-size=x", "--mount type=,dst=/a", "--mount 'src=/a\"b,dst=/y'"),
    *(
        "--mount type=bind,src=/x,dst=/y,bind-recursive=writable",
        "--mount type=tmpfs,dst=/a,bind-propagation=shared",
    ),
    *("--mount type=bind,src=/x,dst=/y,bind-recursive=true", "--mount '\"dst=/a'", "--mount '\"dst=/a\"b'"),
    *("-v ''", "-v :/x", "-v /x:", "-l =x", "-l 'a b=1'", "--pull often"),
    "-a nothing",
]


def test_what_docker_refuses_is_refused_with_125_and_a_line_that_names_it(
    program: str, recorder: Recorder, capsys: pytest.CaptureFixture[str]
) -> None:
    def docker_refuses(flags: str) -> bool:
        done = subprocess.run(
            [program, "create", *shlex.split(flags), *TAIL],
            capture_output=True,
            timeout=60,
            env={**os.environ, "DOCKER_HOST": recorder.url},
            check=False,
        )
        return done.returncode != 0

    with ThreadPoolExecutor(2) as pool:
        theirs = dict(zip(REFUSED, pool.map(docker_refuses, REFUSED), strict=True))
    recorder.created.clear()
    taken = []
    for flags in REFUSED:
        code = main(["-H", recorder.url, "run", "-d", *shlex.split(flags), *TAIL])
        said = capsys.readouterr().err
        flag = shlex.split(flags)[0].partition("=")[0]
        told = code == 125 and said.count("\n") == 1 and said.startswith("dpty: cannot ")
        # A short flag has a long one's name, or none that is needed: `cannot mount 'x'`.
        if not told or (flag.startswith("--") and flag not in said):
            taken.append((flags, code, said))
    assert not taken, "\n".join(map(str, taken))
    assert recorder.created == []
    assert [flags for flags, refuses in theirs.items() if not refuses] == []


# On a real engine


def inspected(bench: Bench, container: str) -> dict[str, Any]:
    made = bench.adopt(container)
    made.reload()
    attrs = made.attrs
    labels = {key: value for key, value in attrs["Config"]["Labels"].items() if "dockerpty" not in key}
    config = {**attrs["Config"], "Labels": labels}
    if config["Hostname"] == attrs["Id"][:12]:
        config["Hostname"] = ""
    networks = {
        name: {key: value for key, value in network.items() if key not in ("NetworkID", "EndpointID")}
        for name, network in attrs["NetworkSettings"]["Networks"].items()
    }
    return {
        "Config": config,
        "HostConfig": attrs["HostConfig"],
        # Of the engine's own making, out of a map: in any order.
        "Mounts": sorted(attrs["Mounts"], key=lambda mount: mount["Destination"]),
        "Networks": networks,
        "Ports": attrs["NetworkSettings"]["Ports"],
    }


@pytest.mark.parametrize(
    "flags",
    [
        "",
        "-i -e A=1 -l a=b -u 1:2 -w /w --entrypoint /e -h box --domainname d",
        "-m 64m --memory-reservation 32m --cpus 1.5 --pids-limit 50 --ulimit nofile=10:20 --shm-size 1m",
        "--cap-drop all --cap-add chown --security-opt no-new-privileges --read-only --init --group-add 5",
        "--tmpfs /a:size=1m --mount type=tmpfs,dst=/b,tmpfs-size=1m -v /tmp:/c:ro --mount type=bind,src=/tmp,dst=/d,ro",
        "--restart on-failure:3 --stop-signal INT --stop-timeout 3 --health-cmd true --health-interval 30s",
        "--expose 7 --log-driver json-file --log-opt max-size=1m --oom-score-adj 5 --device /dev/null:/dev/x:r",
        "--add-host a:1.2.3.4 --dns 1.1.1.1 --dns-search x.y --ipc private --pid host --no-healthcheck",
    ],
)
def test_on_an_engine_the_containers_of_both_are_alike(
    flags: str, bench: Bench, proxy: Proxy, sessions: Sessions
) -> None:
    # Created and not started: what is compared is what was asked.
    proxy.on("POST", "/start", answer=(204, b""))
    argv = ["--network", "none", *shlex.split(flags), IMAGE, "true"]
    done = dpty(sessions, "run", "-d", *argv)
    assert (done.returncode, done.stderr) == (0, b"")
    theirs = docker_command(sessions, "run", "-d", *argv)
    ours = inspected(bench, done.stdout.decode().strip())
    assert ours == inspected(bench, theirs.stdout.decode().strip())
