"""One connection to a server: a request, its answer, and then perhaps the next."""

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import cast

import httptools

from cloudyard.backends.provider_http.answer import Answer, BrokenConnection

LARGEST_HEAD = 64 * 1024


class Connection(asyncio.Protocol):
    """Asks and is answered, one request at a time."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._answer: Answer | None = None
        self._is_free = True
        self._headers: dict[str, str] = {}
        self._reason = ""
        self._head_bytes = 0
        self._patience = 0.0
        self._heard = 0.0
        self._watch: asyncio.TimerHandle | None = None

    def ask(self, head: bytes, body: bytes, patience: float, on_close: Callable[[], None]) -> Answer:
        """Send a request. An answer that falls silent for `patience` seconds fails with `TimeoutError`.

        `on_close` is called when the answer is closed. Raises `BrokenConnection` where the server has hung up already.
        """
        if self._transport is None:
            raise BrokenConnection("the server closed the connection")
        self._answer = answer = Answer(on_close, self._resume)
        self._is_free = False
        self._patience, self._heard = patience, self._loop.time()
        self._watch = self._loop.call_later(patience, self._look)
        self._transport.writelines((head, body))
        return answer

    @property
    def is_open(self) -> bool:
        """Whether the server has not closed it, as far as is known here."""
        return self._transport is not None and not self._transport.is_closing()

    def let_go(self) -> bool:
        """Forget the answer. Whether the connection can take another request; if not it is closed."""
        self._answer = None
        self._stop_watching()
        if self._is_free and self.is_open:
            return True
        self.close()
        return False

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The loop has connected."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are none by name

    def data_received(self, data: bytes) -> None:
        """Take in some of the answer. Who speaks unasked is hung up on."""
        answer = self._answer
        if answer is None:
            self.close()
            return
        self._heard = self._loop.time()
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            answer.fail(BrokenConnection(f"what it sent is no HTTP answer ({error})"))
            self.close()
            return
        if not answer.status:
            self._limit_head(len(data))
        if answer.is_enough and not answer.is_complete and self._transport is not None:
            self._transport.pause_reading()
        answer.wake()

    def connection_lost(self, error: Exception | None) -> None:
        """The connection is gone. A body without a length ends with it, as it should (RFC 9112, 6.3)."""
        self._stop_watching()
        answer, self._transport = self._answer, None
        if answer is None:
            return
        if answer.status and error is None and self._ends_with_connection():
            answer.end()
        answer.fail(BrokenConnection(str(error) if error else "the server closed the connection"))

    def on_message_begin(self) -> None:
        """Called by the parser at the first byte of an answer. Behind one that nobody asked for all is doubtful."""
        if self._answer is None:
            self._is_free = False

    def on_status(self, reason: bytes) -> None:
        """Called by the parser."""
        self._reason += reason.decode("latin-1")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser."""
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Called by the parser; there may be heads before the answer's own (RFC 9110, 15.2)."""
        status = self._parser.get_status_code()
        if self._answer is not None and status >= HTTPStatus.OK:
            self._answer.begin(status, self._reason, self._headers)

    def on_body(self, piece: bytes) -> None:
        """Called by the parser."""
        if self._answer is not None:
            self._answer.add(piece)

    def on_message_complete(self) -> None:
        """Called by the parser."""
        self._headers, self._reason, self._head_bytes = {}, "", 0
        if self._answer is not None and self._answer.status:
            self._answer.end()
            self._answer = None
            self._is_free = self._parser.should_keep_alive()

    def _limit_head(self, more: int) -> None:
        self._head_bytes += more
        if self._head_bytes > LARGEST_HEAD and self._answer is not None:
            self._answer.fail(BrokenConnection("the head of its answer is too long"))
            self.close()

    def _ends_with_connection(self) -> bool:
        return "content-length" not in self._headers and "transfer-encoding" not in self._headers

    def _look(self) -> None:
        """Whether the server has been silent for too long. Looking now and then is cheaper than a timer a piece."""
        silent = self._loop.time() - self._heard
        answer = self._answer
        if answer is None:
            return
        if answer.is_enough:
            silent = 0.0  # nobody listens
        if silent < self._patience:
            self._watch = self._loop.call_later(self._patience - silent, self._look)
        else:
            answer.fail(TimeoutError())
            self.close()

    def _resume(self) -> None:
        """Read on; the server was not silent while nobody listened."""
        self._heard = self._loop.time()
        if self.is_open and self._transport is not None:
            self._transport.resume_reading()

    def _stop_watching(self) -> None:
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.cancel()
