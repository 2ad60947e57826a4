"""The end of a stream: settled once, whoever asks for it and whoever leaves meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from catalogue_models import a_model

from cloudyard.domains.billing import UsageOutcome
from cloudyard.domains.inference import Answer, ChatRequest, ChunkStream, Message, TokenUsage
from cloudyard.domains.inference.attempts import Begun
from cloudyard.domains.inference.metering import StreamMeter
from cloudyard.domains.inference.preparation import prepare

LEFT, COMPLETED = UsageOutcome.CLIENT_LEFT, UsageOutcome.COMPLETED


class Settlement:
    """Settles as slowly as the test wants."""

    def __init__(self) -> None:
        self.outcomes: list[UsageOutcome] = []
        self.may_end = asyncio.Event()
        self.ended = False

    async def __call__(self, meter: StreamMeter, outcome: UsageOutcome) -> Answer:
        self.outcomes.append(outcome)
        await self.may_end.wait()
        self.ended = True
        return Answer({}, "m", "there", TokenUsage(1), 1, 1, outcome)


@pytest.fixture
def settlement() -> Settlement:
    return Settlement()


@pytest.fixture
def stream(settlement: Settlement) -> ChunkStream:
    call = prepare(a_model(), ChatRequest(model="m", messages=[Message(role="user", content="Hello")]))
    return ChunkStream(call, Begun(_piece("one"), _rest()), settlement)


def _piece(text: str) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"content": text}}]}


async def _rest() -> AsyncIterator[bytes]:
    yield b'{"choices": [{"index": 0, "delta": {"content": " two"}}]}'


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_one_who_is_cancelled_while_it_ends_goes_on_after_the_settlement(
    stream: ChunkStream, settlement: Settlement
) -> None:
    ending = asyncio.create_task(stream.end(LEFT))
    await turns()
    ending.cancel()
    await turns()
    assert not ending.done()
    settlement.may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await ending
    assert settlement.ended
    assert settlement.outcomes == [LEFT]


async def test_one_who_is_cancelled_again_and_again_leaves_the_settlement_alone(
    stream: ChunkStream, settlement: Settlement
) -> None:
    ending = asyncio.create_task(stream.end(LEFT))
    await turns()
    while not ending.done():
        ending.cancel()
        await turns(1)
    assert ending.cancelled()
    assert not settlement.ended
    settlement.may_end.set()
    answer = await stream.end(COMPLETED)
    assert (answer.outcome, settlement.outcomes, settlement.ended) == (LEFT, [LEFT], True)


async def test_everyone_who_ends_it_gets_the_one_settlement(stream: ChunkStream, settlement: Settlement) -> None:
    ends = [asyncio.create_task(stream.end(outcome)) for outcome in (COMPLETED, LEFT, UsageOutcome.PROVIDER_FAILED)]
    await turns()
    ends[0].cancel()
    settlement.may_end.set()
    first, second, third = await asyncio.gather(*ends, return_exceptions=True)
    assert isinstance(first, asyncio.CancelledError)
    assert isinstance(second, Answer)
    assert second is third is stream.answer
    assert settlement.outcomes == [COMPLETED]


async def test_a_reader_who_is_cancelled_at_the_end_has_paid_for_a_complete_answer(
    stream: ChunkStream, settlement: Settlement
) -> None:
    async def read() -> None:
        async for _chunk in stream:
            pass

    reading = asyncio.create_task(read())
    await turns()
    assert settlement.outcomes == [COMPLETED]
    reading.cancel()
    settlement.may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert (await stream.end(LEFT)).outcome is COMPLETED
    assert stream.text == "one two"
