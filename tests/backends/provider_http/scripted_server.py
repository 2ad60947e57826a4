"""A server that plays a script on each connection, byte by byte as it is told."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from cloudyard.testing.self_signed import SelfSigned


@dataclass(slots=True)
class Peer:
    """The server's end of one connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def request(self) -> bytes:
        """A whole request; empty where the client has hung up."""
        try:
            head = await self.reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            return b""
        length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
        return head + await self.reader.readexactly(length)

    async def send(self, data: bytes) -> None:
        """Send, and wait until the system has taken it."""
        self.writer.write(data)
        await self.writer.drain()

    async def gone(self) -> None:
        """Wait until the client has hung up."""
        while await self._left():
            continue

    async def _left(self) -> bytes:
        try:
            return await self.reader.read(65536)
        except ConnectionError:
            return b""


Run = Callable[[Coroutine[None, None, None]], None]
Script = Callable[[Peer], Awaitable[None]]


@dataclass(slots=True)
class ScriptedServer:
    """Where it listens, and how many connections it has had."""

    url: str
    connections: int = 0
    peers: list[Peer] = field(default_factory=list)


@asynccontextmanager
async def scripted(
    script: Script, *, host: str = "127.0.0.1", tls: SelfSigned | None = None
) -> AsyncIterator[ScriptedServer]:
    """Serve; each connection plays the script and is closed behind it."""
    played: set[asyncio.Task[None]] = set()

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.connections += 1
        peer = Peer(reader, writer)
        server.peers.append(peer)
        try:
            await script(peer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(play(reader, writer))
        played.add(task)
        task.add_done_callback(played.discard)

    listening = await asyncio.start_server(connected, host, 0, ssl=tls.server_context() if tls else None)
    port = listening.sockets[0].getsockname()[1]
    shown = f"[{host}]" if ":" in host else host
    server = ScriptedServer(f"{'https' if tls else 'http'}://{shown}:{port}/v1")
    try:
        yield server
    finally:
        listening.close()
        for task in list(played):
            task.cancel()
        await asyncio.gather(*played, return_exceptions=True)


def answer(body: bytes, *headers: bytes, status: bytes = b"200 OK") -> bytes:
    """A whole answer with a length."""
    lines = [b"HTTP/1.1 " + status, b"Content-Length: %d" % len(body), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def chunked(*pieces: bytes) -> bytes:
    """A whole answer in chunks."""
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (*pieces, b""))
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks
