"""A client on a raw socket, with nothing but built-in modules: what is physically there for Python. Run with `-I -S`.

Knows `exec [-i] [-t] CONTAINER COMMAND...` and `run --rm --network none IMAGE COMMAND...` of a local engine, and none
of what makes a client safe to use: no detach keys, no signals, no errors, no terminal given back after one. `kept N
CONTAINER COMMAND...` runs a command N times, with one connection for all but the streams.
"""

import _socket
import posix
import select
import sys

SIZE = 65536
PATH = (posix.environ.get(b"DOCKER_HOST") or b"unix:///var/run/docker.sock").decode().removeprefix("unix://")


class Connection:
    def __init__(self):
        self.socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        self.socket.connect(PATH)
        self.rest = b""

    def ask(self, method, path, body="", upgrade=False):
        more = "Connection: Upgrade\r\nUpgrade: tcp\r\n" if upgrade else ""
        self.socket.sendall(
            f"{method} /v1.41{path} HTTP/1.1\r\nHost: docker\r\nContent-Type: application/json\r\n{more}"
            f"Content-Length: {len(body.encode())}\r\n\r\n{body}".encode()
        )

    def head(self):
        data = self.rest
        while b"\r\n\r\n" not in data:
            data += self.socket.recv(SIZE)
        head, _, self.rest = data.partition(b"\r\n\r\n")
        return head

    def body(self, head):
        low = head.lower()
        if b"chunked" in low:
            body = b""
            while True:
                while b"\r\n" not in self.rest:
                    self.rest += self.socket.recv(SIZE)
                size, _, self.rest = self.rest.partition(b"\r\n")
                n = int(size, 16)
                while len(self.rest) < n + 2:
                    self.rest += self.socket.recv(SIZE)
                body, self.rest = body + self.rest[:n], self.rest[n + 2 :]
                if not n:
                    return body
        at = low.find(b"content-length:")
        n = int(low[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        while len(self.rest) < n:
            self.rest += self.socket.recv(SIZE)
        body, self.rest = self.rest[:n], self.rest[n:]
        return body

    def call(self, method, path, body=""):
        self.ask(method, path, body)
        return self.body(self.head())


def quoted(words):
    return "[" + ",".join('"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"' for word in words) + "]"


def field(body, name):
    at = body.index(b'"' + name + b'":') + len(name) + 3
    return body[at:].lstrip(b'"').split(b'"', 1)[0].split(b",", 1)[0].split(b"}", 1)[0].decode()


def pump(connection, framed, reads_input):
    stream, write = connection.socket, posix.write
    buffer = memoryview(bytearray(SIZE))
    head, left, target = b"", 0, 1
    pending = connection.rest
    poll = select.poll()
    poll.register(stream.fileno(), select.POLLIN)
    if reads_input:
        poll.register(0, select.POLLIN)
    while True:
        if pending:
            n = len(pending)
            buffer[:n] = pending
            pending = b""
        elif reads_input:
            ready = dict(poll.poll())
            if 0 in ready:
                data = posix.read(0, SIZE)
                if data:
                    stream.sendall(data)
                else:
                    poll.unregister(0)
                    reads_input = False
                    stream.shutdown(_socket.SHUT_WR)
            if stream.fileno() not in ready:
                continue
            n = stream.recv_into(buffer)
        else:
            n = stream.recv_into(buffer)
        if not n:
            return
        if not framed:
            at = 0
            while at < n:
                at += write(1, buffer[at:n])
            continue
        at = 0
        while at < n:
            if not left:
                take = 8 - len(head)
                head += bytes(buffer[at : at + take])
                at += take
                if len(head) < 8:
                    break
                target, left = head[0], int.from_bytes(head[4:], "big")
                head = b""
                continue
            sent = write(target, buffer[at : min(n, at + left)])
            at += sent
            left -= sent


def exec_(words, control=None):
    stdin = tty = False
    while words[0].startswith("-"):
        stdin, tty = stdin or "i" in words[0], tty or "t" in words[0]
        del words[0]
    flags = (
        f'"AttachStdin":{str(stdin).lower()},"AttachStdout":true,"AttachStderr":true,"Tty":{str(tty).lower()}'
    )
    control, stream = control or Connection(), Connection()
    made = control.call(
        "POST", f"/containers/{words[0]}/exec", "{" + flags + ',"Cmd":' + quoted(words[1:]) + "}"
    )
    exec_id = field(made, b"Id")
    stream.ask(
        "POST", f"/exec/{exec_id}/start", '{"Detach":false,"Tty":' + str(tty).lower() + "}", upgrade=True
    )
    stream.head()
    if tty and posix.isatty(0):
        raw()
    pump(stream, not tty, stdin)
    return int(field(control.call("GET", f"/exec/{exec_id}/json"), b"ExitCode"))


def raw():
    import termios

    mode = termios.tcgetattr(0)
    mode[0] = mode[1] = mode[3] = 0
    mode[6][termios.VMIN], mode[6][termios.VTIME] = 1, 0
    termios.tcsetattr(0, termios.TCSANOW, mode)


def run(words):
    while words[0].startswith("-"):
        del words[: 2 if words[0] == "--network" else 1]
    control, wait, stream = Connection(), Connection(), Connection()
    body = f'{{"Image":"{words[0]}","Cmd":{quoted(words[1:])},"HostConfig":{{"AutoRemove":true,"NetworkMode":"none"}}}}'
    container = field(control.call("POST", "/containers/create", body), b"Id")
    stream.ask("POST", f"/containers/{container}/attach?stream=1&stdout=1&stderr=1", upgrade=True)
    stream.head()
    wait.ask("POST", f"/containers/{container}/wait?condition=next-exit")
    head = wait.head()
    control.call("POST", f"/containers/{container}/start")
    pump(stream, True, False)
    return int(field(wait.body(head), b"StatusCode"))


def kept(words):
    control = Connection()
    return max(exec_(words[1:], control) for _ in range(int(words[0])))


if __name__ == "__main__":
    words = sys.argv[1:]
    sys.exit({"exec": exec_, "run": run, "kept": kept}[words[0]](words[1:]))
