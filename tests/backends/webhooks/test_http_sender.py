"""The sender against real sockets: it connects to what was checked, and reads no more than it needs."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from cloudyard.backends.webhooks import HttpSender
from cloudyard.domains.webhooks import Message, TargetUnreachable
from cloudyard.foundation.outbound_addresses import AddressForbidden, AddressRules
from cloudyard.testing.webhooks import Receiver, running_receiver

HEADERS = {"Content-Type": "application/json"}


@asynccontextmanager
async def sending(*, allow_loopback: bool, timeout: float = 5.0) -> AsyncIterator[HttpSender]:
    sender = HttpSender(AddressRules("webhooks", allow_loopback=allow_loopback).check_address, timeout_seconds=timeout)
    try:
        yield sender
    finally:
        await sender.close()


@asynccontextmanager
async def saying(answer: bytes, *, then_hang: bool = False) -> AsyncIterator[str]:
    """A server that sends these bytes to whoever connects; its URL."""

    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        if then_hang:
            await reader.read()
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        ended.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        await ended.wait()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with running_receiver() as receiver:
        yield receiver


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.9.9.9", "localhost", "LOCALHOST", "0.0.0.0", "0x7f000001", "[::1]", "[::ffff:127.0.0.1]"],
)
async def test_our_own_machine_is_not_reached_by_any_name(receiver: Receiver, host: str) -> None:
    url = receiver.url.replace("127.0.0.1", host)
    async with sending(allow_loopback=False) as sender:
        with pytest.raises(AddressForbidden):
            await sender.send(Message(url, HEADERS, b"{}"))
    assert receiver.posted == []


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0177.0.0.1", "0"])
async def test_addresses_in_odd_spellings_are_not_reached_at_all(receiver: Receiver, host: str) -> None:
    async with sending(allow_loopback=True) as sender:
        with pytest.raises(TargetUnreachable, match="canonical"):
            await sender.send(Message(receiver.url.replace("127.0.0.1", host), HEADERS, b"{}"))
    assert receiver.posted == []


async def test_the_bytes_arrive_as_they_are(receiver: Receiver) -> None:
    body = '{"a": 1,\n "b":"ü"}'.encode()
    async with sending(allow_loopback=True) as sender:
        answer = await sender.send(Message(receiver.url, HEADERS, body))
    (posted,) = receiver.posted
    assert posted.body == body and posted.headers["content-type"] == "application/json"
    assert (answer.status, answer.text, answer.location) == (200, "noted", None)


async def test_no_proxy_of_the_environment_is_used(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    async with sending(allow_loopback=True) as sender:
        assert (await sender.send(Message(receiver.url, HEADERS, b"{}"))).status == 200


async def test_an_answer_without_end_is_not_read_to_its_end() -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    endless = saying(head + b"3e8\r\n" + b"x" * 1000 + b"\r\n", then_hang=True)
    async with endless as url, sending(allow_loopback=True) as sender:
        answer = await sender.send(Message(url, HEADERS, b"{}"))
    assert (answer.status, answer.text) == (200, "x" * 500)


async def test_a_compressed_answer_is_not_unpacked() -> None:
    bomb = gzip.compress(b"0" * 10_000_000)
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\n\r\n".encode()
    async with saying(head + bomb) as url, sending(allow_loopback=True) as sender:
        assert len((await sender.send(Message(url, HEADERS, b"{}"))).text) <= 500


@pytest.mark.parametrize("answer", [b"nonsense\r\n\r\n", b"", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"])
async def test_what_is_no_http(answer: bytes) -> None:
    async with saying(answer) as url, sending(allow_loopback=True) as sender:
        with pytest.raises(TargetUnreachable):
            await sender.send(Message(url, HEADERS, b"{}"))


async def test_silence_has_an_end(receiver: Receiver) -> None:
    receiver.hang = True
    async with sending(allow_loopback=True, timeout=0.2) as sender:
        with pytest.raises(TargetUnreachable, match=r"within 0\.2 s"):
            await sender.send(Message(receiver.url, HEADERS, b"{}"))


async def test_a_name_that_nobody_knows() -> None:
    async with sending(allow_loopback=True) as sender:
        with pytest.raises(TargetUnreachable, match="cannot be reached"):
            await sender.send(Message("https://nowhere.invalid/", HEADERS, b"{}"))


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"\r\n", ""),
        (b"Content-Length: 5\r\n\r\n", ""),
        (b"Content-Length: 5\r\n\r\nab", "ab"),
        (b"Transfer-Encoding: chunked\r\n\r\n", ""),
    ],
)
async def test_a_body_that_does_not_come_leaves_the_status_as_it_is(body: bytes, text: str) -> None:
    async with saying(b"HTTP/1.1 200 OK\r\n" + body, then_hang=True) as url, sending(allow_loopback=True) as sender:
        answer = await sender.send(Message(url, HEADERS, b"{}"))
    assert (answer.status, answer.text) == (200, text)


async def test_a_body_that_breaks_off_leaves_the_status_as_it_is() -> None:
    async with saying(b"HTTP/1.1 204 OK\r\nContent-Length: 5\r\n\r\n") as url, sending(allow_loopback=True) as sender:
        assert (await sender.send(Message(url, HEADERS, b"{}"))).status == 204
    async with saying(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n") as url, sending(allow_loopback=True) as sender:
        assert (await sender.send(Message(url, HEADERS, b"{}"))).status == 200


async def test_a_redirect_to_what_is_no_text_can_be_told() -> None:
    async with (
        saying(b"HTTP/1.1 302 Found\r\nLocation: /\xff\r\nContent-Length: 0\r\n\r\n") as url,
        sending(allow_loopback=True) as sender,
    ):
        assert (await sender.send(Message(url, HEADERS, b"{}"))).location == "/?"
