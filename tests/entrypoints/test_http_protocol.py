"""When the head of an answer goes out: with the first piece of the body, but not later than that takes to come."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from cloudyard.entrypoints.http_protocol import HttpProtocol, JoiningTransport

REQUEST = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"


class Recorded(HttpProtocol):
    """Knows what it has written, write by write."""

    writes: list[bytes]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(_Recording(transport, self.writes))  # type: ignore[arg-type]


class _Recording:
    def __init__(self, transport: asyncio.Transport, writes: list[bytes]) -> None:
        self._transport = transport
        self._writes = writes

    def write(self, data: bytes) -> None:
        self._writes.append(data)
        self._transport.write(data)

    def __getattr__(self, name: str) -> object:
        return getattr(self._transport, name)


@pytest.fixture
def writes() -> list[bytes]:
    Recorded.writes = []
    return Recorded.writes


@asynccontextmanager
async def connected(app: ASGIApp) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection to a server with this app."""
    server = uvicorn.Server(uvicorn.Config(app, http=Recorded, lifespan="off", log_config=None, port=0))
    server.config.load()
    server.lifespan = server.config.lifespan_class(server.config)
    await server.startup()
    try:
        port = server.servers[0].sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            yield reader, writer
        finally:
            writer.close()
            await writer.wait_closed()
    finally:
        await server.shutdown()


async def start(send: Send, *headers: tuple[bytes, bytes], status: int = 200) -> None:
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})


async def body(send: Send, data: bytes, *, more: bool = False) -> None:
    await send({"type": "http.response.body", "body": data, "more_body": more})


async def test_a_whole_answer_is_one_write(writes: list[bytes]) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await start(send, (b"content-length", b"5"))
        await body(send, b"hello")

    async with connected(app) as (reader, writer):
        for number in (1, 2):
            writer.write(REQUEST)
            head = await reader.readuntil(b"\r\n\r\n")
            assert await reader.readexactly(5) == b"hello"
            assert len(writes) == number
            assert writes[-1] == head + b"hello"


async def test_a_head_does_not_wait_for_a_body_that_is_not_there_yet(writes: list[bytes]) -> None:
    goes_on = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await start(send)
        await goes_on.wait()
        await body(send, b"first", more=True)
        await body(send, b"HTTP/1.1 is what this piece is about", more=True)
        await body(send, b"")

    async with connected(app) as (reader, writer):
        writer.write(REQUEST)
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
        assert writes == [head]
        goes_on.set()
        assert await reader.readuntil(b"0\r\n\r\n") == (
            b"5\r\nfirst\r\n24\r\nHTTP/1.1 is what this piece is about\r\n0\r\n\r\n"
        )


async def test_a_body_that_looks_like_a_head_is_sent_as_it_is(writes: list[bytes]) -> None:
    pieces = [b"HTTP/one", b"HTTP/two", b"end"]

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await start(send, (b"content-length", b"%d" % len(b"".join(pieces))))
        for piece in pieces:
            await asyncio.sleep(0.01)
            await body(send, piece, more=piece != b"end")

    async with connected(app) as (reader, writer):
        writer.write(REQUEST)
        await reader.readuntil(b"\r\n\r\n")
        assert await reader.readexactly(19) == b"".join(pieces)


async def test_an_answer_without_a_body_is_sent_before_the_connection_is_closed(writes: list[bytes]) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await start(send, (b"connection", b"close"), status=204)
        await body(send, b"")

    async with connected(app) as (reader, writer):
        writer.write(REQUEST)
        assert (await reader.read()).startswith(b"HTTP/1.1 204 No Content\r\n")


async def test_an_app_that_fails_behind_its_head(writes: list[bytes]) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await start(send, (b"content-length", b"5"))
        raise ValueError("broken")

    async with connected(app) as (reader, writer):
        writer.write(REQUEST)
        assert (await reader.read()).startswith(b"HTTP/1.1 200 OK\r\n")


async def test_a_head_for_a_connection_that_is_gone_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    class Gone:
        closing = False

        def is_closing(self) -> bool:
            return self.closing

        def write(self, data: bytes) -> None:
            raise RuntimeError("the handler is closed")

    transport = Gone()
    joining = JoiningTransport(transport)  # type: ignore[arg-type]
    joining.write(b"HTTP/1.1 200 OK\r\n\r\n")
    transport.closing = True
    await asyncio.sleep(0.01)
    assert caplog.records == []
