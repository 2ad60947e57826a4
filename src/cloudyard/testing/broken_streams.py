"""Streams of answers that break off, for tests of what their callers are told."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

from cloudyard.domains.billing import UsageOutcome
from cloudyard.domains.inference import (
    Answer,
    ChatRequest,
    ChunkStream,
    Deployment,
    Endpoint,
    Message,
    Model,
    ModelKind,
    TokenUsage,
)
from cloudyard.domains.inference.attempts import Begun
from cloudyard.domains.inference.metering import StreamMeter
from cloudyard.domains.inference.preparation import prepare
from cloudyard.foundation.errors import DomainError

MODEL = "parrot"


def broken_stream(error: DomainError) -> ChunkStream:
    """A stream of the model `MODEL` that fails with this error after its first chunk."""
    there = Deployment(MODEL, "there", MODEL, 1, 4, 10.0, endpoint=Endpoint("http://127.0.0.1:1/v1"))
    since = datetime(2026, 1, 1, tzinfo=UTC)
    model = Model(MODEL, ModelKind.CHAT, "", "", 1000, 100, frozenset({"text"}), 4, (there,), since)
    call = prepare(model, ChatRequest(model=MODEL, messages=[Message(role="user", content="Where?")]))
    first = {"choices": [{"index": 0, "delta": {"content": "As far as"}}]}
    return ChunkStream(call, Begun(first, _failing(error)), _settled)


async def _failing(error: DomainError) -> AsyncIterator[bytes]:
    for data in (b'{"choices": []}', b""):
        if not data:
            raise error
        yield data


async def _settled(_meter: StreamMeter, outcome: UsageOutcome) -> Answer:
    return Answer({}, MODEL, "there", TokenUsage(1, 2), 3, 3, outcome)
