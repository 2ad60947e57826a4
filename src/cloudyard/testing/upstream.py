"""An OpenAI-compatible server on loopback whose failures a test can script.

It speaks the API properly (whole and streamed chat, completions, embeddings, usage) and says afterwards what it
was asked and how its streams ended, so that a test of an interruption can see both sides of it.
"""

import asyncio
import hashlib
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import msgspec
from aiohttp import web

PIECES = ("The", " capital", " of", " France", " is", " Paris", ".")
DIMENSIONS = 8
CREATED = 1_767_225_600
PATIENCE_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How one call is answered. Times are in seconds.

    - `status`: refuse with it instead of answering, with `retry_after` as its header.
    - `break_after`: cut the connection after so many pieces (0: before the first; also for a whole answer).
    - `malformed`: send what is no JSON (whole), or one piece that is none (stream, after `break_after` good ones).
    - `garbage`: what to send in these two cases instead, e.g. JSON of no sense.
    - `held`: say no more than `held_after` pieces (0: nothing, as for a whole answer) until this event is set.
    - `announced_error`: end a stream by an error object in place of the piece number `break_after`.
    - `reading_before`: give a sign of life before the pieces with these numbers, as llama.cpp does while it reads.
    - `usage`: whether usage is reported. `reported`: report this instead of the truth.
    """

    pieces: Sequence[str] = PIECES
    status: int | None = None
    retry_after: int | None = None
    first_after: float = 0.0
    pause: float = 0.0
    break_after: int | None = None
    malformed: bool = False
    garbage: bytes = b"{this is no JSON"
    announced_error: bool = False
    held: asyncio.Event | None = None
    held_after: int = 0
    reading_before: Sequence[int] = ()
    usage: bool = True
    reported: dict[str, int] | None = None
    tool_call: tuple[str, str] | None = None


@dataclass(slots=True)
class Seen:
    """One call as it came, and what became of it."""

    path: str
    body: dict[str, Any]
    authorization: str | None
    pieces_sent: int = 0
    outcome: str = "running"
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def end(self, outcome: str) -> None:
        """Note how it ended: `answered`, `refused`, `broken` or `abandoned` (the caller left)."""
        self.outcome = outcome
        self.ended.set()


class Upstream:
    """The server. `behave` scripts the coming calls; the last behaviour stays."""

    def __init__(self) -> None:
        self._script: deque[Behaviour] = deque([Behaviour()])
        self.calls: list[Seen] = []
        self._arrivals: asyncio.Queue[Seen] = asyncio.Queue()
        self.port = 0

    @property
    def base_url(self) -> str:
        """Where it is, ending in /v1."""
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def running(self) -> int:
        """Calls that it still works on."""
        return sum(call.outcome == "running" for call in self.calls)

    def behave(self, *behaviours: Behaviour) -> None:
        """Answer the next calls like this, one after the other, and all later ones like the last."""
        self._script = deque(behaviours)

    async def next_call(self) -> Seen:
        """The first call that this has not given out yet; waits for one to arrive."""
        return await self._arrivals.get()

    async def chat(self, request: web.Request) -> web.StreamResponse:
        """POST /v1/chat/completions."""
        return await self._generate(request, _Chat())

    async def completions(self, request: web.Request) -> web.StreamResponse:
        """POST /v1/completions."""
        return await self._generate(request, _Text())

    async def embeddings(self, request: web.Request) -> web.StreamResponse:
        """POST /v1/embeddings: a vector that depends on nothing but its text."""
        seen, behaviour = await self._arrived(request)
        refusal = await self._obstacle(request, seen, behaviour)
        if refusal is not None:
            return refusal
        given = seen.body["input"]
        texts = [given] if isinstance(given, str) else given
        tokens = sum(len(text.split()) for text in texts)
        answer: dict[str, Any] = {
            "object": "list",
            "model": seen.body["model"],
            "data": [{"object": "embedding", "index": i, "embedding": vector(text)} for i, text in enumerate(texts)],
        }
        if behaviour.usage:
            answer["usage"] = behaviour.reported or {"prompt_tokens": tokens, "total_tokens": tokens}
        seen.end("answered")
        return web.json_response(answer)

    async def _generate(self, request: web.Request, form: "_Chat | _Text") -> web.StreamResponse:
        seen, behaviour = await self._arrived(request)
        try:
            await asyncio.sleep(behaviour.first_after)
            if behaviour.held is not None and (behaviour.held_after == 0 or not seen.body.get("stream")):
                await behaviour.held.wait()
            refusal = await self._obstacle(request, seen, behaviour)
            if refusal is not None:
                return refusal
            if seen.body.get("stream"):
                return await self._stream(request, seen, behaviour, form)
            await asyncio.sleep(behaviour.pause * len(behaviour.pieces))
        except (asyncio.CancelledError, ConnectionResetError):
            seen.end("abandoned")
            raise
        seen.end("answered")
        return web.json_response(form.whole(seen.body, behaviour, _usage(seen, behaviour, len(behaviour.pieces))))

    async def _arrived(self, request: web.Request) -> tuple[Seen, Behaviour]:
        behaviour = self._script.popleft() if len(self._script) > 1 else self._script[0]
        seen = Seen(request.path, await request.json(), request.headers.get("Authorization"))
        self.calls.append(seen)
        self._arrivals.put_nowait(seen)
        limit = seen.body.get("max_tokens")
        if limit is not None and limit < len(behaviour.pieces):
            behaviour = replace(behaviour, pieces=behaviour.pieces[:limit])
        return seen, behaviour

    async def _obstacle(self, request: web.Request, seen: Seen, behaviour: Behaviour) -> web.Response | None:
        """What stands in the way of an answer, if something does."""
        if behaviour.status is not None:
            seen.end("refused")
            headers = {} if behaviour.retry_after is None else {"Retry-After": str(behaviour.retry_after)}
            error = {"error": {"message": f"scripted {behaviour.status}", "type": "scripted", "code": None}}
            return web.json_response(error, status=behaviour.status, headers=headers)
        if seen.body.get("stream"):
            return None
        if behaviour.break_after is not None:
            _cut(request, seen)
        if behaviour.malformed:
            seen.end("answered")
            return web.Response(body=behaviour.garbage, content_type="application/json")
        return None

    async def _stream(
        self, request: web.Request, seen: Seen, behaviour: Behaviour, form: "_Chat | _Text"
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for number, chunk in enumerate(form.chunks(seen.body, behaviour)):
            if behaviour.held is not None and number == behaviour.held_after:
                await behaviour.held.wait()
            if behaviour.break_after is not None and number >= behaviour.break_after:
                return await self._break_off(request, response, seen, behaviour)
            if number in behaviour.reading_before and seen.body.get("return_progress"):
                progress = {"total": 2, "cache": 0, "processed": 1, "time_ms": 1}
                await _write(response, msgspec.json.encode({**chunk, "prompt_progress": progress}))
            await _write(response, msgspec.json.encode(chunk))
            seen.pieces_sent = min(number + 1, len(behaviour.pieces))
            await asyncio.sleep(behaviour.pause)
        wanted = (seen.body.get("stream_options") or {}).get("include_usage")
        if behaviour.usage and wanted:
            usage = _usage(seen, behaviour, len(behaviour.pieces))
            await _write(response, msgspec.json.encode({**form.head(seen.body), "choices": [], "usage": usage}))
        await _write(response, b"[DONE]")
        seen.end("answered")
        return response

    async def _break_off(
        self, request: web.Request, response: web.StreamResponse, seen: Seen, behaviour: Behaviour
    ) -> web.StreamResponse:
        if behaviour.announced_error:
            await _write(response, b'{"error":{"message":"scripted failure","type":"server_error","code":500}}')
        elif behaviour.malformed:
            await _write(response, behaviour.garbage)
        else:
            _cut(request, seen)
        seen.end("broken")
        return response


class _Chat:
    """The form of chat completions."""

    def head(self, body: dict[str, Any]) -> dict[str, Any]:
        return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": CREATED, "model": body["model"]}

    def chunks(self, body: dict[str, Any], behaviour: Behaviour) -> list[dict[str, Any]]:
        deltas: list[dict[str, Any]] = [{"content": piece} for piece in behaviour.pieces]
        if behaviour.tool_call is not None:
            deltas = _tool_deltas(*behaviour.tool_call)
        if deltas:
            deltas[0] = {"role": "assistant", **deltas[0]}
        told = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
        last = {"index": 0, "delta": {}, "finish_reason": _reason(body, behaviour)}
        return [{**self.head(body), "choices": [choice]} for choice in [*told, last]]

    def whole(self, body: dict[str, Any], behaviour: Behaviour, usage: dict[str, int] | None) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": "".join(behaviour.pieces)}
        if behaviour.tool_call is not None:
            name, arguments = behaviour.tool_call
            call = {"id": "call_1", "type": "function", "function": {"name": name, "arguments": arguments}}
            message = {"role": "assistant", "content": None, "tool_calls": [call]}
        choices = [
            {"index": n, "message": message, "finish_reason": _reason(body, behaviour)} for n in range(body.get("n", 1))
        ]
        answer = {**self.head(body), "object": "chat.completion", "choices": choices}
        return answer if usage is None else {**answer, "usage": usage}


class _Text:
    """The form of the older completions."""

    def head(self, body: dict[str, Any]) -> dict[str, Any]:
        return {"id": "cmpl-1", "object": "text_completion", "created": CREATED, "model": body["model"]}

    def chunks(self, body: dict[str, Any], behaviour: Behaviour) -> list[dict[str, Any]]:
        told = [{"index": 0, "text": piece, "finish_reason": None} for piece in behaviour.pieces]
        last = {"index": 0, "text": "", "finish_reason": _reason(body, behaviour)}
        return [{**self.head(body), "choices": [choice]} for choice in [*told, last]]

    def whole(self, body: dict[str, Any], behaviour: Behaviour, usage: dict[str, int] | None) -> dict[str, Any]:
        choice = {"index": 0, "text": "".join(behaviour.pieces), "finish_reason": _reason(body, behaviour)}
        answer = {**self.head(body), "choices": [choice]}
        return answer if usage is None else {**answer, "usage": usage}


@asynccontextmanager
async def running_upstream(port: int = 0) -> AsyncIterator[Upstream]:
    """The server, up on a port of loopback (a free one, unless named) for as long as the block lasts."""
    upstream = Upstream()
    app = web.Application()
    app.router.add_post("/v1/chat/completions", upstream.chat)
    app.router.add_post("/v1/completions", upstream.completions)
    app.router.add_post("/v1/embeddings", upstream.embeddings)
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port, reuse_address=True)
    await site.start()
    upstream.port = runner.addresses[0][1]
    try:
        yield upstream
    finally:
        await runner.cleanup()


@contextmanager
def threaded_upstream() -> Iterator[Upstream]:
    """The same in a thread of its own, for tests that are not asynchronous; script it before it is called."""
    with ThreadPoolExecutor(1, thread_name_prefix="upstream") as thread:
        started: Future[tuple[Upstream, Callable[[], None]]] = Future()
        done = thread.submit(asyncio.run, _until_stopped(started))
        upstream, stop = started.result(PATIENCE_SECONDS)
        try:
            yield upstream
        finally:
            stop()
            done.result(PATIENCE_SECONDS)


def _stop(loop: asyncio.AbstractEventLoop, stopped: asyncio.Event) -> None:
    loop.call_soon_threadsafe(stopped.set)


async def _until_stopped(started: "Future[tuple[Upstream, Callable[[], None]]]") -> None:
    stopped, loop = asyncio.Event(), asyncio.get_running_loop()
    async with running_upstream() as upstream:
        started.set_result((upstream, partial(_stop, loop, stopped)))
        await stopped.wait()


def vector(text: str) -> list[float]:
    """The embedding of a text: eight numbers between -1 and 1 from its hash."""
    digest = hashlib.sha256(text.encode()).digest()
    return [byte / 127.5 - 1 for byte in digest[:DIMENSIONS]]


def _usage(seen: Seen, behaviour: Behaviour, pieces: int) -> dict[str, int] | None:
    if not behaviour.usage:
        return None
    if behaviour.reported is not None:
        return behaviour.reported
    prompt = len(_prompt(seen.body).split())
    completion = pieces * seen.body.get("n", 1)
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _prompt(body: dict[str, Any]) -> str:
    if "messages" in body:
        return " ".join(str(message.get("content")) for message in body["messages"])
    prompt = body["prompt"]
    return prompt if isinstance(prompt, str) else " ".join(prompt)


def _reason(body: dict[str, Any], behaviour: Behaviour) -> str:
    if behaviour.tool_call is not None:
        return "tool_calls"
    return "length" if body.get("max_tokens") == len(behaviour.pieces) else "stop"


def _tool_deltas(name: str, arguments: str) -> list[dict[str, Any]]:
    middle = len(arguments) // 2
    first = {"index": 0, "id": "call_1", "type": "function", "function": {"name": name, "arguments": ""}}
    rest = [{"index": 0, "function": {"arguments": part}} for part in (arguments[:middle], arguments[middle:])]
    return [{"content": None, "tool_calls": [call]} for call in [first, *rest]]


def _cut(request: web.Request, seen: Seen) -> None:
    """End the connection without a word."""
    seen.end("broken")
    if request.transport is not None:
        request.transport.abort()
    raise ConnectionResetError("scripted")


async def _write(response: web.StreamResponse, data: bytes) -> None:
    await response.write(b"data: " + data + b"\n\n")
