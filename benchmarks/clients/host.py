"""A container as a host, and what it is compared with: `host.py WHO JOB N CONTAINER [PATH]`.

JOB is `echo` (N times `echo hi`), `first` (one `echo hi` of a host that was just made), `output` (N bytes of one
command), `put` and `get` (PATH, a file or a directory; N is its bytes, or its files). Printed: the seconds that it
took, once the program had started and, but for `first`, the shell was open; the CPU seconds of this process in them;
its greatest resident set in KiB.

DPTY_BENCH_SSH, if set, is what an `SSHHostSync` is made with, in JSON: the container's engine is reached through it.
DPTY_BENCH_DOCKER, if set, stands for the command `docker`, in JSON: a list of words.
"""

import asyncio
import json
import os
import resource
import subprocess
import sys
import time

WAY = json.loads(os.environ.get("DPTY_BENCH_SSH", "null"))
DOCKER = json.loads(os.environ.get("DPTY_BENCH_DOCKER", '["docker"]'))
WHERE = "/bench-target"


def zeros(n):
    return ["dd", "if=/dev/zero", "bs=1048576", f"count={n >> 20}", "status=none"]


class Docker:
    """The command, a process for each."""

    def open(self, container):
        self.container = container
        return self

    def echo(self):
        return subprocess.run(
            [*DOCKER, "exec", self.container, "echo", "hi"], stdout=subprocess.PIPE, check=True
        ).stdout

    def output(self, n):
        command = subprocess.Popen([*DOCKER, "exec", self.container, *zeros(n)], stdout=subprocess.PIPE)
        count = 0
        while piece := os.read(command.stdout.fileno(), 65536):
            count += len(piece)
        assert command.wait() == 0
        return count

    def put(self, path):
        if len(DOCKER) == 1:
            return subprocess.run(
                [*DOCKER, "cp", path, f"{self.container}:{WHERE}/"], check=True, stderr=subprocess.DEVNULL
            )
        # To another machine: what people type.
        tar = subprocess.Popen(
            ["tar", "-C", os.path.dirname(path), "-cf", "-", os.path.basename(path)], stdout=subprocess.PIPE
        )
        subprocess.run([*DOCKER, "cp", "-", f"{self.container}:{WHERE}/"], check=True, stdin=tar.stdout)
        assert tar.wait() == 0

    def get(self, name, directory):
        if len(DOCKER) == 1:
            command = [*DOCKER, "cp", f"{self.container}:{WHERE}/{name}", directory]
            return subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        far = subprocess.Popen(
            [*DOCKER, "cp", f"{self.container}:{WHERE}/{name}", "-"], stdout=subprocess.PIPE
        )
        subprocess.run(["tar", "-C", directory, "-xf", "-"], stdin=far.stdout, check=True)
        assert far.wait() == 0

    def close(self):
        pass


class DockerPy:
    """`exec_run` of one client that is kept."""

    def open(self, container):
        import docker

        self.container = docker.from_env().containers.get(container)
        return self

    def echo(self):
        code, output = self.container.exec_run(["echo", "hi"])
        assert code == 0
        return output

    def close(self):
        self.container.client.close()


class RawExec:
    """An exec for each on a raw socket."""

    def open(self, container):
        import raw

        self.raw, self.container, self.control = raw, container, raw.Connection()
        return self

    def echo(self):
        read, write = os.pipe()
        kept = os.dup(1)
        os.dup2(write, 1)
        assert self.raw.exec_([self.container, "echo", "hi"], self.control) == 0
        os.dup2(kept, 1)
        os.close(write)
        os.close(kept)
        data = os.read(read, 100)
        os.close(read)
        return data

    def output(self, n):
        made = self.control.call("POST", f"/containers/{self.container}/exec", self._body(zeros(n)))
        stream = self._start(made)
        buffer, count, left, head = memoryview(bytearray(65536)), 0, 0, b""
        pending = stream.rest
        while True:
            size = stream.socket.recv_into(buffer) if not pending else len(pending)
            if not size:
                return count
            if pending:
                buffer[:size], pending = pending, b""
            at = 0
            while at < size:
                if not left:
                    head += bytes(buffer[at : (at := min(size, at + 8 - len(head)))])
                    if len(head) == 8:
                        left, head = int.from_bytes(head[4:], "big"), b""
                    continue
                step = min(left, size - at)
                at, left, count = at + step, left - step, count + step

    def _body(self, words, stdin="false"):
        flags = f'"AttachStdin":{stdin},"AttachStdout":true,"AttachStderr":true'
        return "{" + flags + ',"Cmd":' + self.raw.quoted(words) + "}"

    def _start(self, made):
        stream = self.raw.Connection()
        stream.ask(
            "POST", f"/exec/{self.raw.field(made, b'Id')}/start", '{"Detach":false,"Tty":false}', upgrade=True
        )
        stream.head()
        return stream

    def close(self):
        pass


class RawShell(RawExec):
    """A shell that is kept, with nothing of what makes one safe: what is physically there."""

    def open(self, container):
        super().open(container)
        loop = "while read -r line; do eval $line; printf '\\036'; done"
        made = self.control.call(
            "POST", f"/containers/{container}/exec", self._body(["sh", "-c", loop], stdin="true")
        )
        self.stream = self._start(made)
        return self

    def echo(self):
        self.stream.socket.sendall(b"echo hi\n")
        data = b""
        while not data.endswith(b"\x1e"):
            data += self.stream.socket.recv(65536)
        # Two frames, or one.
        return b"".join(part[8:] if part[:1] == b"\x01" else part for part in data.split(b"\x1e", 1)[:1])[:3]


class Ours:
    """One of ours, where one waits."""

    def __init__(self, tty=False, oneshot=False):
        self.tty, self.is_oneshot = tty, oneshot

    def open(self, container):
        from dockerpty.host import SSHHostSync, container_sync

        self.parent = SSHHostSync(**WAY) if WAY else None
        self.host = container_sync(container, parent=self.parent, tty=self.tty, output_limit=1024)
        return self

    def echo(self):
        only = self.host.oneshot(["echo", "hi"]) if self.is_oneshot else self.host.run("echo hi").only
        assert only.retcode == 0, only
        return only.output.encode()

    def output(self, n):
        counted = [0]

        def count(_stream, data):
            counted[0] += len(data)

        assert self.host.run(" ".join(zeros(n)), on_output=count)
        return counted[0]

    def put(self, path):
        assert self.host.put(path, WHERE).check()

    def get(self, name, directory):
        assert self.host.get(f"{WHERE}/{name}", directory).check()

    def close(self):
        self.host.close()
        if self.parent:
            self.parent.close()


class OnLoop:
    """One of ours on an event loop, which runs all that is repeated in one coroutine."""

    def __init__(self, tty=False):
        self.tty = tty

    def run(self, job, n, container):
        return asyncio.run(self._run(job, n, container))

    async def _run(self, job, n, container):
        from dockerpty.host import container as host_of

        counted = [0]

        def count(_stream, data):
            counted[0] += len(data)

        async with host_of(container, tty=self.tty, output_limit=1024) as host:
            await host.run("true")
            began, cpu = time.perf_counter(), time.process_time()
            if job == "output":
                assert await host.run(" ".join(zeros(n)), on_output=count)
                assert counted[0] == n
            for _ in range(n if job == "echo" else 0):
                assert (await host.run("echo hi")).only.output == "hi"
            return time.perf_counter() - began, time.process_time() - cpu


def main(who, job, n, container, path):
    if isinstance(who, OnLoop):
        return who.run(job, n, container)
    if job == "first":
        # What a program imports at its top.
        if isinstance(who, Ours):
            from dockerpty.host import container_sync  # noqa: F401  # what is measured begins behind it
    elif job == "echo":
        who.open(container).echo()
    else:
        who.open(container)
        if isinstance(who, Ours) and job == "output":
            who.host.run("true")
    began, cpu = time.perf_counter(), time.process_time()
    if job == "first":
        assert who.open(container).echo().strip() == b"hi"
    elif job == "output":
        assert who.output(n) == n
    elif job == "put":
        who.put(path)
    elif job == "get":
        who.get(os.path.basename(path), os.path.dirname(path) + "/got")
    else:
        for _ in range(n):
            assert who.echo().strip() == b"hi"
    took = time.perf_counter() - began, time.process_time() - cpu
    who.close()
    return took


WHO = {
    "docker": Docker(),
    "docker-py": DockerPy(),
    "raw-exec": RawExec(),
    "raw-shell": RawShell(),
    "oneshot": Ours(oneshot=True),
    "run": Ours(),
    "run-tty": Ours(tty=True),
    "loop": OnLoop(),
    "loop-tty": OnLoop(tty=True),
}

if __name__ == "__main__":
    who, job, n, container, *path = sys.argv[1:]
    seconds, cpu = main(WHO[who], job, int(n), container, *path or [""])
    print(seconds, cpu, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, flush=True)
