"""Server-sent events (WHATWG HTML, section 9.2): a stream with heartbeats that stops as soon as the client leaves."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from cloudyard.web.disconnect import unless_left
from cloudyard.web.policy import Header

HEARTBEAT_SECONDS = 15.0
HEARTBEAT = b": keep-alive\n\n"
STREAM_HEADERS: tuple[Header, ...] = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),  # nginx would hold the pieces back
)

Events = AsyncGenerator[bytes, None]


def event(data: bytes, *, kind: str | None = None, event_id: str | None = None) -> bytes:
    """One event as bytes; data of several lines becomes several fields, as the format wants it."""
    lines = [b"data: " + line for line in data.split(b"\n")]
    if kind is not None:
        lines.insert(0, b"event: " + kind.encode())
    if event_id is not None:
        lines.insert(0, b"id: " + event_id.encode())
    return b"\n".join(lines) + b"\n\n"


async def send_events(
    receive: Receive,
    send: Send,
    events: Events,
    *,
    headers: Sequence[Header] = (),
    heartbeat_seconds: float = HEARTBEAT_SECONDS,
) -> None:
    """Answer with a stream of events. The request's body must have been read before.

    The generator is closed however it ends. Raises `ClientLeft` when the client left before its end.
    """
    await send({"type": "http.response.start", "status": 200, "headers": [*STREAM_HEADERS, *headers]})
    stream = _Stream(send)
    heart = asyncio.create_task(stream.beat(heartbeat_seconds), name="sse-heartbeat")
    try:
        await unless_left(receive, stream.pump(events))
    finally:
        heart.cancel()
        await events.aclose()
    await send({"type": "http.response.body", "body": b""})


class _Stream:
    def __init__(self, send: Send) -> None:
        self._send = send
        self._sent = 0

    async def pump(self, events: Events) -> None:
        async for piece in events:
            self._sent += 1
            await self._send({"type": "http.response.body", "body": piece, "more_body": True})

    async def beat(self, seconds: float) -> None:
        """Send a comment whenever nothing else was sent for a while, so that no proxy takes the line for dead."""
        while True:
            before = self._sent
            await asyncio.sleep(seconds)
            if self._sent == before:
                await self._send({"type": "http.response.body", "body": HEARTBEAT, "more_body": True})


class EventStream(Response):
    """The same as an answer of a FastAPI route."""

    def __init__(
        self,
        events: Events,
        *,
        headers: Mapping[str, str] | None = None,
        heartbeat_seconds: float = HEARTBEAT_SECONDS,
    ) -> None:
        super().__init__(media_type="text/event-stream")
        self._events = events
        self._extra = [(k.lower().encode(), v.encode("latin-1")) for k, v in (headers or {}).items()]
        self._heartbeat_seconds = heartbeat_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream."""
        await send_events(receive, send, self._events, headers=self._extra, heartbeat_seconds=self._heartbeat_seconds)
