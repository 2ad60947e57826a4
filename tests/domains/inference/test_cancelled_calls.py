"""What a call costs whose caller is cancelled: what was generated until then, once."""

import asyncio

import pytest
from charged_calls import LOCAL, NANOS_PER_TOKEN, REMOTE, ChargedCalls

from cloudyard.domains.billing import UsageOutcome
from cloudyard.domains.inference import Answer
from cloudyard.testing.upstream import Behaviour, Seen
from cloudyard.testing.waiting import until

SLOW = Behaviour(pieces=["word "] * 90, pause=0.05)


async def generating(calls: ChargedCalls, pieces: int = 3) -> Seen:
    """The next call, once some of its answer was sent."""
    call = await calls.upstream.next_call()
    await until(lambda: call.pieces_sent >= pieces)
    return call


async def test_a_whole_answer_of_a_local_model_is_charged_as_far_as_it_came(calls: ChargedCalls) -> None:
    calls.upstream.behave(SLOW)
    asking = asyncio.create_task(calls.answer())
    call = await generating(calls)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await call.ended.wait()
    [record] = await calls.usage()
    assert call.outcome == "abandoned"
    assert record.outcome == UsageOutcome.CLIENT_LEFT
    assert 0 < record.quantities["output_token"] <= -(-len("word ") * call.pieces_sent // 4) < 90
    assert await calls.spent() == sum(record.quantities.values()) * NANOS_PER_TOKEN


@pytest.mark.parametrize("pause", [0, 1, 2, 5, 20])
async def test_no_further_cancellation_loses_or_doubles_the_charge(calls: ChargedCalls, pause: int) -> None:
    calls.upstream.behave(SLOW)
    asking = asyncio.create_task(calls.answer())
    await generating(calls)
    while not asking.done():
        asking.cancel()
        for _ in range(pause):
            await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert asking.cancelled()
    spent = await calls.spent()
    [record] = await calls.usage()
    assert spent == sum(record.quantities.values()) * NANOS_PER_TOKEN > 0


@pytest.mark.parametrize("model", [LOCAL, REMOTE])
async def test_a_whole_answer_that_had_not_begun_costs_nothing(calls: ChargedCalls, model: str) -> None:
    calls.upstream.behave(Behaviour(first_after=30))
    asking = asyncio.create_task(calls.answer(model))
    await calls.upstream.next_call()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert await calls.spent() == 0
    assert await calls.usage() == []


async def test_what_is_written_with_a_charge_is_told_that_the_answer_is_not_whole(calls: ChargedCalls) -> None:
    calls.upstream.behave(SLOW)
    kept: list[Answer] = []

    def keep(answer: Answer) -> tuple[()]:
        kept.append(answer)
        return ()

    asking = asyncio.create_task(calls.answer(also=keep))
    await generating(calls)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    [answer] = kept
    assert answer.outcome is UsageOutcome.CLIENT_LEFT
    assert answer.text.startswith("word word ")
    assert answer.cost_nanos == await calls.spent()


@pytest.mark.parametrize("again", [False, True])
async def test_a_stream_that_is_cancelled_is_charged_once(calls: ChargedCalls, again: bool) -> None:
    calls.upstream.behave(SLOW)
    reading = asyncio.create_task(calls.stream())
    await generating(calls)
    reading.cancel()
    await asyncio.sleep(0)
    if again:
        reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    spent = await calls.spent()
    [record] = await calls.usage()
    assert record.outcome == UsageOutcome.CLIENT_LEFT
    assert spent == sum(record.quantities.values()) * NANOS_PER_TOKEN > 0


async def test_a_call_after_a_cancelled_one_is_answered(calls: ChargedCalls) -> None:
    calls.upstream.behave(SLOW, Behaviour())
    asking = asyncio.create_task(calls.answer())
    await generating(calls)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert "Paris" in (await calls.answer()).text
    assert [record.outcome for record in await calls.usage()] == ["completed", "client_left"]
