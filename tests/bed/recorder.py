"""A listener that a client takes for an engine, and that only takes notes of what it is to create.

Nothing is created: where no container has to run, what two clients ask for is compared in no time.
"""

from __future__ import annotations

import base64
import json
import socketserver
import threading
from http.server import BaseHTTPRequestHandler
from types import TracebackType
from typing import Any

from tests.bed.engine import short_directory

CONTAINER = "c" * 64


class Recorder:
    """Speaks just enough of the API of Engine 20.10 for `run`: pulls, creates and starts, and refuses all else.

    Args:
        version: of the API, if it is to be another.

    Attributes:
        created: the body and the query of each creation, in their order.
        credentials: what came with each pull of an image, in their order; {} for nothing.
        url: where it listens.
    """

    def __init__(self, version: str = "1.41") -> None:
        self.version = version
        self.created: list[tuple[dict[str, Any], str]] = []
        self.credentials: list[dict[str, str]] = []
        self._directory = short_directory()
        path = f"{self._directory.name}/recorder.sock"
        self.url = f"unix://{path}"
        self._server = _Server(path, self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), name="recorder")
        self._thread.start()

    def __enter__(self) -> Recorder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def take(self) -> tuple[dict[str, Any], str]:
        """Give the only creation since the last call, and forget it."""
        (noted,) = self.created
        self.created.clear()
        return noted

    def close(self) -> None:
        """Stop listening, once every client has gone."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._directory.cleanup()


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    def __init__(self, path: str, recorder: Recorder) -> None:
        self.recorder = recorder
        super().__init__(path, _Handler)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path, _, query = self.path.partition("?")
        status, answer = 500, b'{"message":"this is no engine"}'
        if path.endswith("/_ping"):
            status, answer = 200, b"OK"
        elif path.endswith("/containers/create"):
            self.server.recorder.created.append((json.loads(body), query))
            status, answer = 201, b'{"Id":"' + CONTAINER.encode() + b'","Warnings":[]}'
        elif path.endswith("/images/create"):
            said = base64.urlsafe_b64decode(self.headers.get("X-Registry-Auth") or b"e30=")
            self.server.recorder.credentials.append({k.lower(): v for k, v in json.loads(said).items()})
            status, answer = 200, b'{"status":"Done"}\r\n'
        elif path.endswith("/start"):
            status, answer = 204, b""
        self.send_response(status)
        for name, value in (
            ("Api-Version", self.server.recorder.version),
            ("Ostype", "linux"),
            ("Content-Type", "application/json"),
        ):
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(answer) if self.command != "HEAD" else 0))
        try:
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the client has what it wanted to know

    do_GET = do_HEAD = do_POST = do_DELETE = _answer  # noqa: N815  # names of `http.server`

    def log_message(self, format: str, *args: Any) -> None:
        """Take no notes beside `created`."""
