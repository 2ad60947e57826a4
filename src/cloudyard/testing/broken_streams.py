"""Streams of answers that break off, for tests of what their callers are told."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime

from structlog.testing import capture_logs

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


async def check_withheld(failure: type[DomainError], events_of: Callable[[ChunkStream], AsyncIterator[bytes]]) -> None:
    """See that a failure's words for operators are logged once, with the model, and that no event tells them."""
    stream = broken_stream(failure("It is away.", for_operators="at 10.0.0.7"))
    with capture_logs() as logs:
        told = b"".join([piece async for piece in events_of(stream)])
    assert b"As far as" in told and b"It is away." in told and b"10.0.0.7" not in told
    [withheld] = [entry for entry in logs if "10.0.0.7" in repr(entry)]
    assert (withheld["code"], withheld["model"]) == (failure.code, MODEL)


async def _failing(error: DomainError) -> AsyncIterator[bytes]:
    for data in (b'{"choices": []}', b""):
        if not data:
            raise error
        yield data


async def _settled(_meter: StreamMeter, outcome: UsageOutcome) -> Answer:
    return Answer({}, MODEL, "there", TokenUsage(1, 2), 3, 3, outcome)
