"""Bodies that are too large, over a real socket: the answer must reach a client that is still sending."""

import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx2
import pytest
from starlette.types import Receive, Scope, Send

from cloudyard.testing.live_server import serving
from cloudyard.web.errors import ProblemRenderer
from cloudyard.web.gate import Gate, GateParts
from cloudyard.web.policy import SurfacePolicy

POLICY = SurfacePolicy(name="probe", title="Probe", prefix="/probe")
MEGABYTE = 1_000_000


async def length(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the number of bytes it was sent."""
    read, more = 0, True
    while more:
        message = await receive()
        read += len(message.get("body", b""))
        more = message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"%d" % read})


@pytest.fixture
def url(gate_parts: GateParts) -> Iterator[str]:
    with serving(Gate(length, POLICY, ProblemRenderer(), gate_parts)) as url:
        yield url


def test_a_client_that_sends_twenty_megabytes_gets_its_answer_and_the_connection_lives(url: str) -> None:
    with httpx2.Client() as client:
        for _ in range(2):
            answer = client.post(url, content=b"x" * 20 * MEGABYTE)
            assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
        assert client.post(url, content=b"x" * 900).text == "900"


def test_a_body_without_a_length_is_cut_off(url: str) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(200):
            yield b"x" * 10_000

    assert httpx2.post(url, content=pieces()).status_code == 413


def test_a_client_that_leaves_in_mid_body_does_no_harm(url: str) -> None:
    place = urlsplit(url)
    with socket.create_connection((place.hostname, place.port), timeout=5) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\nhalf")
    assert httpx2.post(url, content=b"x").text == "1"
