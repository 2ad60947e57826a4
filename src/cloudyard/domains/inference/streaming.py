"""A charged stream: chunks for the caller, and a settlement however it ends."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import structlog

from cloudyard.domains.billing import UsageOutcome
from cloudyard.domains.inference.attempts import Begun
from cloudyard.domains.inference.errors import ProviderUnavailable
from cloudyard.domains.inference.legacy_logprobs import LegacyLogprobs
from cloudyard.domains.inference.metering import StreamMeter
from cloudyard.domains.inference.preparation import Call
from cloudyard.domains.inference.records import Answer
from cloudyard.domains.inference.shapes import chunk_of_stream

log = structlog.get_logger(__name__)

Finish = Callable[[StreamMeter, UsageOutcome], Awaitable[Answer]]


class ChunkStream:
    """Chunks of an answer as dictionaries in the field's common form, the model named as the caller did.

    Iterate it to its end, or leave its context early: either way what was generated is charged, before the last
    chunk is given out. After the end `answer` tells usage and cost.
    """

    def __init__(self, call: Call, begun: Begun, finish: Finish) -> None:
        self._call = call
        self._first: dict[str, Any] | None = begun.first
        self._rest = begun.rest
        self._finish = finish
        self._meter = StreamMeter(call.prompt_text, prompts=call.prompts, choices=call.choices)
        self._meter.prompt_tokens = begun.prompt_tokens
        self._logprobs = LegacyLogprobs.of(call)
        self._head: dict[str, Any] = {}
        self._ending: asyncio.Future[Answer] | None = None
        self.answer: Answer | None = None

    @property
    def served_by(self) -> str:
        """The catalogue model that answers."""
        return self._call.model.name

    @property
    def text(self) -> str:
        """What was delivered so far."""
        return self._meter.delivered

    async def __aiter__(self) -> AsyncGenerator[dict[str, Any], None]:
        """Every chunk; the last has usage and cost if the request wanted them.

        Raises `ProviderUnavailable` when the provider breaks off; what was delivered is charged.
        """
        try:
            if self._first is not None:
                first, self._first = self._first, None
                for chunk in self._seen(first):
                    yield chunk
            async for data in self._rest:
                for chunk in self._seen(chunk_of_stream(data)):
                    yield chunk
        except ProviderUnavailable as error:
            # what callers are not told is logged by whoever tells them the rest
            log.warning("stream broke off", model=self._call.model.name, error=error.message)
            await self.end(UsageOutcome.PROVIDER_FAILED)
            raise
        answer = await self.end(UsageOutcome.COMPLETED)
        if self._call.include_usage:
            yield self._usage_chunk(answer)

    async def end(self, outcome: UsageOutcome) -> Answer:
        """Settle what was generated; a second call changes nothing."""
        if self._ending is None:
            self._ending = asyncio.ensure_future(self._finish(self._meter, outcome))
        try:
            self.answer = await asyncio.shield(self._ending)
        except asyncio.CancelledError:
            await asyncio.wait([self._ending])
            raise
        return self.answer

    def _seen(self, chunk: dict[str, Any]) -> list[dict[str, Any]]:
        """Take one chunk into account; nothing is given out for bookkeeping chunks."""
        self._meter.see(chunk)
        if self._logprobs is not None:
            self._logprobs.translate(chunk)
        chunk.pop("timings", None)
        chunk.pop("__verbose", None)
        chunk["model"] = self._call.requested_model
        if not chunk.get("choices"):
            self._head = self._head or chunk
            return []
        self._head = chunk
        chunk.pop("usage", None)
        if self._call.include_usage:
            chunk["usage"] = None
        return [chunk]

    def _usage_chunk(self, answer: Answer) -> dict[str, Any]:
        head = {name: value for name, value in self._head.items() if name not in ("choices", "usage")}
        return {**head, "choices": [], "usage": usage_body(answer)}


def usage_body(answer: Answer) -> dict[str, Any]:
    """Usage in the field's common form, with the cost in dollars."""
    return {
        "prompt_tokens": answer.usage.prompt,
        "completion_tokens": answer.usage.completion,
        "total_tokens": answer.usage.total,
        "cost": answer.cost_nanos / 1_000_000_000,
    }
