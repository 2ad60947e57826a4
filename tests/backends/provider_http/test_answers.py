"""What is read of an answer, however its bytes come."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from scripted_server import Peer, Run, ScriptedServer, answer, chunked, scripted

from cloudyard.backends.provider_http import Answer, BrokenConnection, Connections

PATIENCE = 8.0


@asynccontextmanager
async def client() -> AsyncIterator[Connections]:
    connections = Connections(connect_seconds=5, kept_seconds=4)
    try:
        yield connections
    finally:
        connections.close()


async def post(connections: Connections, server: ScriptedServer, patience: float = PATIENCE) -> Answer:
    return await connections.post(server.url, "/chat", {"X-Test": "yes"}, b"{}", patience=patience)


async def read_from(sent: bytes, *, at_once: bool = True) -> tuple[int, str, bytes]:
    """Status, reason and body of an answer of which the server sends these bytes and hangs up."""

    async def script(peer: Peer) -> None:
        await peer.request()
        for piece in [sent] if at_once else [sent[place : place + 1] for place in range(len(sent))]:
            await peer.send(piece)
            await asyncio.sleep(0)

    async with scripted(script) as server, client() as connections:
        got = await post(connections, server)
        try:
            return got.status, got.reason, await got.read()
        finally:
            got.close()


WHOLE = {
    "with a length": (answer(b"hello"), b"hello"),
    "empty": (answer(b""), b""),
    "in chunks": (chunked(b"he", b"llo"), b"hello"),
    "until the end": (b"HTTP/1.1 200 OK\r\n\r\nhello", b"hello"),
    "behind others' heads": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + answer(b"hello"),
        b"hello",
    ),
    "large": (answer(b"x" * 700_000), b"x" * 700_000),
}


@pytest.mark.parametrize(("sent", "body"), WHOLE.values(), ids=WHOLE)
def test_a_whole_answer(run: Run, sent: bytes, body: bytes) -> None:
    async def scene() -> None:
        assert await read_from(sent) == (200, "OK", body)

    run(scene())


@pytest.mark.parametrize(("sent", "body"), [case for case in WHOLE.values() if len(case[0]) < 1000])
def test_an_answer_that_comes_byte_by_byte(run: Run, sent: bytes, body: bytes) -> None:
    async def scene() -> None:
        assert await read_from(sent, at_once=False) == (200, "OK", body)

    run(scene())


BROKEN = {
    "no byte": (b"", "closed the connection"),
    "half a head": (b"HTTP/1.1 200 OK\r\nContent-", "closed the connection"),
    "half a body": (answer(b"hello")[:-2], "closed the connection"),
    "half of the chunks": (chunked(b"he", b"llo")[:-7], "closed the connection"),
    "no HTTP": (b"SSH-2.0-OpenSSH_9.2\r\n", "no HTTP answer"),
    "another protocol": (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "no HTTP"),
    "a head without end": (b"HTTP/1.1 200 OK\r\n" + b"X-More: 0123456789\r\n" * 5000, "too long"),
    "a chunk without a length": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nhello", "no HTTP answer"),
}


@pytest.mark.parametrize(("sent", "reason"), BROKEN.values(), ids=BROKEN)
def test_an_answer_that_is_none(run: Run, sent: bytes, reason: str) -> None:
    async def scene() -> None:
        with pytest.raises(BrokenConnection, match=reason):
            await read_from(sent)

    run(scene())


def test_pieces_are_given_out_before_the_failure_behind_them(run: Run) -> None:
    sent = chunked(b"first", b"second").removesuffix(b"0\r\n\r\n")

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(sent)

    async def scene() -> None:
        async with scripted(script) as server, client() as connections:
            got = await post(connections, server)
            await server.peers[0].writer.wait_closed()
            await asyncio.sleep(0.05)  # long enough to have heard of the end; were it not, the test would see less
            assert await got.piece() == b"firstsecond"
            with pytest.raises(BrokenConnection):
                await got.piece()
            got.close()

    run(scene())


def test_a_server_that_falls_silent(run: Run) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        await peer.gone()

    async def scene() -> None:
        async with scripted(script) as server, client() as connections:
            got = await post(connections, server, patience=1)
            assert await got.piece() == b"hello"
            with pytest.raises(TimeoutError):
                await got.piece()
            got.close()

    run(scene())


def test_who_looks_away_while_the_server_falls_silent_hears_of_it(run: Run) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\n\r\nhello")  # without a length, so that hanging up would end it
        await peer.gone()

    async def scene() -> None:
        async with scripted(script) as server, client() as connections:
            got = await post(connections, server, patience=1)
            await server.peers[0].writer.wait_closed()
            assert await got.piece() == b"hello"
            with pytest.raises(TimeoutError):
                await got.piece()
            got.close()

    run(scene())


def test_a_server_that_never_begins(run: Run) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.gone()

    async def scene() -> None:
        async with scripted(script) as server, client() as connections:
            with pytest.raises(TimeoutError):
                await post(connections, server, patience=0.1)

    run(scene())


def test_a_server_that_is_slow_but_never_silent_is_waited_for(run: Run) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        for _ in range(5):
            await asyncio.sleep(0.5)
            await peer.send(b"HTTP/1.1 200 OK\r\n\r\n" if _ == 0 else b"x")

    async def scene() -> None:
        async with scripted(script) as server, client() as connections:
            got = await post(connections, server, patience=2)
            assert await got.read() == b"xxxx"
            got.close()

    run(scene())


def test_a_slow_reader_holds_the_server_up_and_is_no_silence(run: Run) -> None:
    body = b"x" * 16 * 1024 * 1024
    taken = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(answer(body))
        taken.set()

    async def scene() -> None:
        async with scripted(script) as server, client() as connections:
            got = await post(connections, server, patience=2)
            await asyncio.sleep(2.5)
            assert not taken.is_set(), "all of it was read ahead"
            assert await got.read() == body
            got.close()

    run(scene())
