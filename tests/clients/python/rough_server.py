"""A server on loopback that behaves as it is told, well or badly, and keeps what it was asked."""

import json
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

META = {"timestamp": "2026-11-22T10:30:00Z", "requestId": "req_123", "version": "1.0"}


@dataclass(frozen=True)
class Reply:
    """An answer. `cut` ends the connection in the middle of the body, `drop` before any answer."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: bool = False
    drop: bool = False


DROP = Reply(drop=True)


def data(value: Any, status: int = 200) -> Reply:
    """A successful answer in the document's envelope."""
    return _json({"success": True, "data": value, "meta": META}, status, {})


def error(status: int, code: str, message: str = "It went wrong.", **headers: str) -> Reply:
    """A failure in the document's envelope."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    told = {"code": code, "message": message, "details": []}
    return _json({"success": False, "error": told, "meta": META}, status, named)


def _json(value: Any, status: int, headers: Mapping[str, str]) -> Reply:
    return Reply(status, json.dumps(value).encode(), {"Content-Type": "application/json", **headers})


@dataclass(frozen=True)
class Asked:
    """A request as it came. `at` is in seconds of the monotonic clock."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any
    at: float

    @property
    def key(self) -> str | None:
        return self.headers.get("idempotency-key")


class RoughServer:
    """`script` has the coming answers; the last one stays."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[Asked] = []
        self._script: deque[Reply] = deque()

    def script(self, *replies: Reply) -> None:
        self._script = deque(replies)

    def next_reply(self) -> Reply:
        return self._script.popleft() if len(self._script) > 1 else self._script[0]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "_Server"

    def _answer(self) -> None:
        rough = self.server.rough
        sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = json.loads(sent) if sent else None
        rough.asked.append(Asked(self.command, self.path, headers, body, time.monotonic()))
        reply = rough.next_reply()
        self.close_connection = True
        if reply.drop:
            return
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Connection", "close")
        self.send_header("Content-Length", str(len(reply.body) + (1000 if reply.cut else 0)))
        self.end_headers()
        self.wfile.write(reply.body)

    do_GET = do_POST = do_PUT = do_DELETE = _answer

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, rough: RoughServer) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.rough = rough


@contextmanager
def running_rough_server() -> Iterator[RoughServer]:
    """The server on a free port, in a thread of its own."""
    rough = RoughServer()
    with _Server(rough) as server:
        rough.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield rough
        finally:
            server.shutdown()
            thread.join()
