"""A small receiver of webhooks on this machine, as an application of one's own would have it."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Empty, Queue
from typing import Any

LARGEST_BODY = 1_000_000


@dataclass(frozen=True, slots=True)
class Received:
    """A request: its headers, with names in lower case, and exactly the bytes of its body."""

    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Receiver:
    """A running receiver."""

    url: str
    _queue: "Queue[Received]"

    def next(self, seconds: float) -> Received | None:
        """The next request; None when none came in time."""
        try:
            return self._queue.get(timeout=max(0.0, seconds))
        except Empty:
            return None


@contextmanager
def receiver() -> Iterator[Receiver]:
    """A receiver on a free port of 127.0.0.1 that takes whatever is posted to it."""
    queue: Queue[Received] = Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(min(int(self.headers.get("content-length") or 0), LARGEST_BODY))
            queue.put(Received({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(HTTPStatus.NO_CONTENT)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing: the tour shows what came."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield Receiver(f"http://127.0.0.1:{server.server_address[1]}/webhooks", queue)
        finally:
            server.shutdown()
            thread.join()
