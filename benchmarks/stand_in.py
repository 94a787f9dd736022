"""An engine that only streams, from memory: where it is in the engine's place, it is the client that is measured.

`python stand_in.py SOCKET` serves `exec NAME SIZE`: NAME is `frames-N` (frames of N bytes) or `raw`, SIZE how many
bytes of payload. It answers what clients ask before and after, and takes no input.
"""

from __future__ import annotations

import json
import re
import socket
import struct
import sys
import threading
from typing import Any

_BATCH = 1024 * 1024
_VERSION = {
    "ApiVersion": "1.41",
    "MinAPIVersion": "1.12",
    "Version": "20.10.24",
    "Os": "linux",
    "Arch": "amd64",
}


class _Connection:
    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.rest = b""

    def serve(self) -> None:
        with self.socket:
            while (request := self._request()) is not None:
                if not self._answer(*request):
                    return

    def _request(self) -> tuple[str, str, bytes] | None:
        while b"\r\n\r\n" not in self.rest:
            data = self.socket.recv(65536)
            if not data:
                return None
            self.rest += data
        head, _, self.rest = self.rest.partition(b"\r\n\r\n")
        found = re.search(rb"content-length: *(\d+)", head, re.I)
        n = int(found[1]) if found else 0
        chunked = b"chunked" in head.lower()
        while len(self.rest) < n or (chunked and not self.rest.endswith(b"0\r\n\r\n")):
            self.rest += self.socket.recv(65536)
        body, self.rest = (self.rest, b"") if chunked else (self.rest[:n], self.rest[n:])
        if chunked:  # a short one, as all are here
            body = body.split(b"\r\n")[1]
        method, path, _ = head.split(b"\r\n")[0].decode().split(" ")
        return method, path.partition("?")[0], body

    def _answer(self, method: str, path: str, body: bytes) -> bool:
        path = re.sub(r"^/v[\d.]+", "", path)
        if path.endswith("/_ping"):
            self._reply(b"" if method == "HEAD" else b"OK", 200)
        elif path == "/version":
            self._json(_VERSION)
        elif found := re.fullmatch(r"/containers/([^/]+)/json", path):
            self._json(
                {"Id": "c" * 64, "Name": found[1], "State": {"Running": True}, "Config": {"Tty": False}}
            )
        elif found := re.fullmatch(r"/containers/([^/]+)/exec", path):
            size = json.loads(body)["Cmd"][-1]
            # Of an id's own length: some clients know it.
            self._json({"Id": f"{found[1]}.{size}".encode().ljust(32).hex()}, 201)
        elif found := re.fullmatch(r"/exec/([^/]+)/start", path):
            self._stream(*bytes.fromhex(found[1]).decode().strip().split("."))
            return False
        elif found := re.fullmatch(r"/exec/([^/]+)/json", path):
            is_raw = bytes.fromhex(found[1]).startswith(b"raw.")
            self._json(
                {
                    "ID": found[1],
                    "Running": False,
                    "ExitCode": 0,
                    "Pid": 1,
                    "ContainerID": "c" * 64,
                    "ProcessConfig": {"tty": is_raw},
                }
            )
        else:
            self._json({}, 200)
        return True

    def _stream(self, name: str, size: str) -> None:
        kind = "raw" if name == "raw" else "multiplexed"
        self.socket.sendall(
            b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
            b"Content-Type: application/vnd.docker.%s-stream\r\n\r\n" % kind.encode()
        )
        payload = _BATCH if name == "raw" else int(name.removeprefix("frames-"))
        frame = bytes(payload) if name == "raw" else struct.pack(">BxxxL", 1, payload) + bytes(payload)
        count = max(1, _BATCH // payload)
        batch = frame * count
        try:
            for _ in range(int(size) // (payload * count)):
                self.socket.sendall(batch)
        except ConnectionError:
            pass  # the client has seen enough

    def _json(self, value: Any, status: int = 200) -> None:
        self._reply(json.dumps(value, separators=(",", ":")).encode(), status)  # as Go writes it

    def _reply(self, body: bytes, status: int) -> None:
        self.socket.sendall(
            b"HTTP/1.1 %d OK\r\nApi-Version: 1.41\r\nOstype: linux\r\nServer: Docker/20.10.24 (linux)\r\n"
            b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)
        )


def main(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(64)
        print("ready", flush=True)
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=_Connection(connection).serve, daemon=True).start()


if __name__ == "__main__":
    main(sys.argv[1])
