"""Which connections are used again, and what goes over them."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from scripted_server import Peer, Run, Script, ScriptedServer, answer, chunked, scripted

from cloudyard.backends.provider_http import Answer, BrokenConnection, Connections
from cloudyard.testing.self_signed import self_signed


@asynccontextmanager
async def scene_of(script: Script, *, kept_seconds: float = 30) -> AsyncIterator[tuple[ScriptedServer, Connections]]:
    connections = Connections(connect_seconds=5, kept_seconds=kept_seconds)
    async with scripted(script) as server:
        try:
            yield server, connections
        finally:
            connections.close()


async def post(connections: Connections, server: ScriptedServer, *, keep: bool = True) -> Answer:
    return await connections.post(server.url, "/chat", {}, b"{}", patience=8, keep=keep)


async def read(connections: Connections, server: ScriptedServer, *, keep: bool = True) -> bytes:
    got = await post(connections, server, keep=keep)
    try:
        return await got.read()
    finally:
        got.close()


def always(sent: bytes) -> Script:
    """The same answer to every request of a connection."""

    async def script(peer: Peer) -> None:
        while await peer.request():
            await peer.send(sent)

    return script


@pytest.mark.parametrize("sent", [answer(b"hello"), chunked(b"he", b"llo")], ids=["with a length", "in chunks"])
def test_a_connection_whose_answer_was_read_is_used_again(run: Run, sent: bytes) -> None:
    async def scene() -> None:
        async with scene_of(always(sent)) as (server, connections):
            for _ in range(5):
                assert await read(connections, server) == b"hello"
            assert server.connections == 1

    run(scene())


def test_answers_that_are_under_way_have_a_connection_each(run: Run) -> None:
    async def scene() -> None:
        async with scene_of(always(answer(b"hello"))) as (server, connections):
            got = [await post(connections, server) for _ in range(3)]
            assert server.connections == 3
            for each in got:
                assert await each.read() == b"hello"
                each.close()
            assert await read(connections, server) == b"hello"
            assert server.connections == 3

    run(scene())


@pytest.mark.parametrize(
    "sent",
    [
        answer(b"hello", b"Connection: close"),
        answer(b"hello") + b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nextra",
        answer(b"hello") + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n",
        answer(b"hello") + b"HTTP/1.1 200 OK\r\nX-Partial: ",
        answer(b"hello") + b"H",
        answer(b"hello") + b"rubbish",
        answer(b"hello").replace(b"HTTP/1.1", b"HTTP/1.0"),
    ],
    ids=[
        "the server closes",
        "an answer too many",
        "half a head too many",
        "half a header too many",
        "a byte too many",
        "rubbish behind it",
        "an old version",
    ],
)
def test_a_connection_that_cannot_be_trusted_is_not_used_again(run: Run, sent: bytes) -> None:
    async def scene() -> None:
        async with scene_of(always(sent)) as (server, connections):
            for number in range(1, 4):
                assert await read(connections, server) == b"hello"
                assert server.connections == number

    run(scene())


def test_a_connection_that_is_not_to_be_kept(run: Run) -> None:
    heads: list[bytes] = []

    async def script(peer: Peer) -> None:
        while head := await peer.request():
            heads.append(head)
            await peer.send(answer(b"hello"))

    async def scene() -> None:
        async with scene_of(script) as (server, connections):
            for number in range(1, 4):
                assert await read(connections, server, keep=False) == b"hello"
                assert server.connections == number
            assert all(b"\r\nConnection: close\r\n" in head for head in heads)

    run(scene())


def test_leaving_an_answer_early_hangs_up(run: Run) -> None:
    gone = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
        await peer.gone()
        gone.set()

    async def scene() -> None:
        async with scene_of(script) as (server, connections):
            got = await post(connections, server)
            assert await got.piece() == b"one"
            got.close()
            await gone.wait()

    run(scene())


def test_a_caller_who_is_cancelled_hangs_up(run: Run) -> None:
    asked, gone = asyncio.Event(), asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        asked.set()
        await peer.gone()
        gone.set()

    async def scene() -> None:
        async with scene_of(script) as (server, connections):
            task = asyncio.create_task(post(connections, server))
            await asked.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await gone.wait()

    run(scene())


def test_a_kept_connection_that_the_server_closed_is_not_used(run: Run) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(answer(b"hello"))

    async def scene() -> None:
        async with scene_of(script) as (server, connections):
            for number in range(1, 4):
                assert await read(connections, server) == b"hello"
                await server.peers[-1].writer.wait_closed()
                await asyncio.sleep(0.05)  # long enough to have heard of it
                assert server.connections == number

    run(scene())


def test_a_kept_connection_on_which_the_server_speaks_unasked_is_closed(run: Run) -> None:
    gone = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(answer(b"hello"))
        await asyncio.sleep(0.05)
        await peer.send(answer(b"too slow", status=b"408 Request Timeout"))
        await peer.gone()
        gone.set()

    async def scene() -> None:
        async with scene_of(script) as (server, connections):
            assert await read(connections, server) == b"hello"
            await gone.wait()
            assert await read(connections, server) == b"hello"

    run(scene())


def test_connections_that_are_idle_for_too_long_are_closed(run: Run) -> None:
    gone = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(answer(b"hello"))
        await peer.gone()
        gone.set()

    async def scene() -> None:
        async with scene_of(script, kept_seconds=0.1) as (server, connections):
            assert await read(connections, server) == b"hello"
            await gone.wait()

    run(scene())


def test_what_is_asked(run: Run) -> None:
    asked: list[bytes] = []

    async def script(peer: Peer) -> None:
        while request := await peer.request():
            asked.append(request)
            await peer.send(answer(b""))

    async def scene() -> None:
        async with scripted(script, host="::1") as server:
            connections = Connections(connect_seconds=5, kept_seconds=4)
            url = server.url.replace("http://", "http://user:p%40ss@").replace("/v1", "/my models/é%20/v1")
            for headers in ({"Authorization": "Bearer é"}, {}):
                got = await connections.post(url, "/chat", headers, b"{}", patience=8)
                assert await got.read() == b""
                got.close()
            connections.close()
            authority = server.url.removeprefix("http://").removesuffix("/v1").encode()
        lines = [b"POST /my%20models/%C3%A9%20/v1/chat HTTP/1.1", b"Host: " + authority, b"Content-Length: 2"]
        assert asked == [
            b"\r\n".join([*lines, "Authorization: Bearer é".encode(), b"", b"{}"]),
            b"\r\n".join([*lines, b"Authorization: Basic " + b64encode(b"user:p@ss"), b"", b"{}"]),
        ]

    run(scene())


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\x00"])
def test_a_header_that_would_end_its_line_is_never_sent(run: Run, value: str) -> None:
    async def scene() -> None:
        async with scene_of(always(answer(b""))) as (server, connections):
            with pytest.raises(ValueError, match="the header Authorization"):
                await connections.post(server.url, "/chat", {"Authorization": value}, b"{}", patience=8)
            assert server.connections == 0

    run(scene())


@pytest.mark.parametrize(
    "url", ["ftp://127.0.0.1/v1", "/v1", "http://", "http://127.0.0.1:99999/v1", "http://127.0.0.1/v1?a=b"]
)
def test_what_is_no_address(run: Run, url: str) -> None:
    async def scene() -> None:
        with pytest.raises(ValueError, match=r"URL|Port|query"):
            await Connections(connect_seconds=5, kept_seconds=4).post(url, "/chat", {}, b"{}", patience=8)

    run(scene())


def test_nobody_listens(run: Run) -> None:
    async def scene() -> None:
        async with scripted(always(b"")) as server:
            pass
        with pytest.raises(OSError, match=r"refused|Connect call failed"):
            await post(Connections(connect_seconds=5, kept_seconds=4), server)

    run(scene())


def test_over_tls(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = self_signed(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.path))

    async def scene() -> None:
        async with scripted(always(answer(b"hello")), tls=certificate) as server:
            connections = Connections(connect_seconds=5, kept_seconds=4)
            for _ in range(3):
                assert await read(connections, server) == b"hello"
            assert server.connections == 1
            connections.close()

    run(scene())


def test_a_certificate_that_nobody_vouches_for(run: Run, tmp_path: Path) -> None:
    async def scene() -> None:
        async with scripted(always(answer(b"hello")), tls=self_signed(tmp_path)) as server:
            with pytest.raises(OSError, match="certificate verify failed"):
                await post(Connections(connect_seconds=5, kept_seconds=4), server)

    run(scene())


def test_a_server_that_never_shakes_hands(run: Run) -> None:
    async def scene() -> None:
        async with scripted(Peer.gone) as server:
            connections = Connections(connect_seconds=0.2, kept_seconds=4)
            with pytest.raises(BrokenConnection, match=r"could not be connected to within 0\.2 s"):
                await connections.post(server.url.replace("http:", "https:"), "/chat", {}, b"{}", patience=8)

    run(scene())
