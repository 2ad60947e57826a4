"""uvicorn's HTTP protocol, with the head of an answer sent together with the first piece of its body."""

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD = b"HTTP/"


class JoiningTransport:
    """A transport that keeps the head of an answer back until more is written, or the loop's turn is over.

    A packet less for an answer that is there already: its reader is woken once, not twice.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._head = b""
        self._sending: asyncio.Handle | None = None

    def write(self, data: bytes) -> None:
        """Send, behind the head if there is one; a head is kept."""
        if self._head:
            self._send(self._head + data)
        elif data.startswith(HEAD):
            self._head = data
            self._sending = self._loop.call_soon(self._flush)
        else:
            self._transport.write(data)

    def close(self) -> None:
        """Close, once everything is sent."""
        self._flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        """Whatever else transports do."""
        return getattr(self._transport, name)

    def _flush(self) -> None:
        if self._head and not self._transport.is_closing():
            self._send(self._head)

    def _send(self, data: bytes) -> None:
        self._head = b""
        if self._sending is not None:
            self._sending.cancel()
        self._transport.write(data)


class HttpProtocol(HttpToolsProtocol):
    """As uvicorn's, over a `JoiningTransport`."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has connected."""
        super().connection_made(cast(asyncio.Transport, JoiningTransport(transport)))
