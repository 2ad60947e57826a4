"""Streams and clients that leave, over real sockets."""

import asyncio
import socket
import threading
from collections.abc import AsyncGenerator, Iterator
from urllib.parse import urlsplit

import httpx2
import pytest
from fastapi import FastAPI, Request, Response

from cloudyard.testing.live_server import serving
from cloudyard.web.disconnect import unless_left
from cloudyard.web.errors import LEFT, ProblemRenderer
from cloudyard.web.gate import Gate, GateParts
from cloudyard.web.policy import SurfacePolicy
from cloudyard.web.sse import EventStream, event
from cloudyard.web.surface_app import new_surface_app

POLICY = SurfacePolicy(name="probe", title="Probe", prefix="/probe")
WAIT = 5.0


class Watched:
    """What the routes below saw, read from the test's thread."""

    def __init__(self) -> None:
        self.started = threading.Event()
        self.stopped = threading.Event()
        self.finished = threading.Event()

    async def endless(self) -> AsyncGenerator[bytes, None]:
        try:
            number = 0
            while True:
                yield event(b"%d" % number)
                self.started.set()
                number += 1
                await asyncio.sleep(0.01)
        finally:
            self.stopped.set()

    async def silent(self) -> AsyncGenerator[bytes, None]:
        self.started.set()
        try:
            await asyncio.sleep(3600)
            yield b""
        finally:
            self.stopped.set()

    async def work(self) -> str:
        self.started.set()
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            self.stopped.set()
            raise
        return "done"


@pytest.fixture
def watched() -> Watched:
    return Watched()


@pytest.fixture
def app(watched: Watched) -> FastAPI:
    app = new_surface_app(POLICY, ProblemRenderer(), services=watched, description="")

    async def three() -> AsyncGenerator[bytes, None]:
        yield event(b"one")
        yield event(b"two\nlines", kind="update", event_id="7")
        await asyncio.sleep(0.3)
        yield event(b"[DONE]")

    async def failing() -> AsyncGenerator[bytes, None]:
        yield event(b"one")
        raise ZeroDivisionError("in mid-stream")

    @app.get("/three")
    async def stream() -> Response:
        return EventStream(three(), headers={"X-Served-By": "m"}, heartbeat_seconds=0.1)

    @app.get("/endless")
    async def endless() -> Response:
        return EventStream(watched.endless())

    @app.get("/silent")
    async def silent() -> Response:
        return EventStream(watched.silent())

    @app.get("/failing")
    async def fails() -> Response:
        return EventStream(failing())

    @app.post("/work")
    async def work(request: Request) -> str:
        await request.body()
        return await unless_left(request.receive, watched.work())

    @app.post("/quick")
    async def quick(request: Request) -> str:
        async def soon() -> str:
            await asyncio.sleep(0)
            return "done"

        await request.body()
        return await unless_left(request.receive, soon())

    return app


@pytest.fixture
def url(app: FastAPI, gate_parts: GateParts) -> Iterator[str]:
    with serving(Gate(app, POLICY, ProblemRenderer(), gate_parts)) as url:
        yield url


def leave_after(url: str, head: bytes, watched: Watched) -> None:
    """Send a request, wait until it is being worked on, and hang up."""
    host, port = urlsplit(url).hostname, urlsplit(url).port
    with socket.create_connection((host, port), timeout=WAIT) as connection:
        connection.sendall(head)
        assert watched.started.wait(WAIT)


def test_events_arrive_in_the_formats_shape_with_heartbeats_between(url: str) -> None:
    answer = httpx2.get(f"{url}/three")
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["x-served-by"] == "m"
    before, after = answer.text.split("data: [DONE]")
    assert before.startswith("data: one\n\nid: 7\nevent: update\ndata: two\ndata: lines\n\n")
    assert ": keep-alive\n\n" in before
    assert after == "\n\n"


@pytest.mark.parametrize("path", ["/endless", "/silent"])
def test_a_stream_stops_when_its_reader_leaves(url: str, path: str, watched: Watched, gate_parts: GateParts) -> None:
    leave_after(url, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode(), watched)
    assert watched.stopped.wait(WAIT)


def test_an_error_in_mid_stream_breaks_the_answer_off(url: str) -> None:
    with pytest.raises(httpx2.RemoteProtocolError), httpx2.stream("GET", f"{url}/failing") as answer:
        answer.read()


def test_work_is_cancelled_when_its_client_leaves(url: str, watched: Watched, gate_parts: GateParts) -> None:
    head = b"POST /work HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
    leave_after(url, head, watched)
    assert watched.stopped.wait(WAIT)
    labels = {"surface": "probe", "route": "/work", "method": "POST", "status": "4xx"}

    def counted() -> bool:
        return gate_parts.metrics.registry.get_sample_value("cloudyard_http_requests_total", labels) == 1

    for _ in range(100):
        if counted():
            break
        threading.Event().wait(0.05)
    assert counted(), f"a client that left is counted as {LEFT}"


def test_work_of_a_client_that_stays_is_answered(url: str) -> None:
    with httpx2.Client() as client:
        for _ in range(20):
            assert client.post(f"{url}/quick", content=b"{}").json() == "done"


async def test_an_outer_cancellation_stays_one() -> None:
    never = asyncio.Event()

    async def receive() -> dict[str, str]:
        await never.wait()
        return {"type": "http.disconnect"}

    task = asyncio.create_task(unless_left(receive, asyncio.sleep(3600)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
