"""Streams that end without their end: what had come is given out before the failure is told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from cloudyard.backends.generation.openai_compatible import OpenAICompatible
from cloudyard.domains.inference import Endpoint, ProviderUnavailable

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
LONG_ENOUGH_SECONDS = 0.05
"""Until the client has taken in what was sent. Were it not, the test would only see less."""


class Server:
    """Sends the first event, and once it may go on the others, and hangs up."""

    def __init__(self, *others: bytes) -> None:
        self._others = others
        self.goes_on = asyncio.Event()
        self.hung_up = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Endpoint]:
        """Where it listens."""
        async with await asyncio.start_server(self._answer, "127.0.0.1", 0) as server:
            try:
                yield Endpoint(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1")
            finally:
                self.goes_on.set()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(HEAD + chunk(b"data: first\n\n"))
            await self.goes_on.wait()
            for other in self._others:
                writer.write(chunk(other))
            writer.close()
            await writer.wait_closed()
        finally:
            self.hung_up.set()


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def read_late(provider: OpenAICompatible, server: Server) -> AsyncIterator[bytes]:
    """Every event; all but the first are read when the server has long hung up."""
    async with server.running() as endpoint, provider.stream(endpoint, "/chat/completions", b"{}", 10) as events:
        yield await anext(events)
        server.goes_on.set()
        await server.hung_up.wait()
        await asyncio.sleep(LONG_ENOUGH_SECONDS)
        async for data in events:
            yield data


async def test_what_came_before_the_line_broke_is_given_out(provider: OpenAICompatible) -> None:
    seen: list[bytes] = []
    with pytest.raises(ProviderUnavailable, match="broke off"):
        async for data in read_late(provider, Server(b"data: second\n\n", b"data: third\n\nda")):
            seen.append(data)
    assert seen == [b"first", b"second", b"third"]


async def test_a_line_that_breaks_behind_the_end_broke_nothing(provider: OpenAICompatible) -> None:
    server = Server(b"data: second\n\n", b"data: [DONE]\n\n")
    assert [data async for data in read_late(provider, server)] == [b"first", b"second"]
