"""Whose prompt a local model reads."""

import asyncio
import json
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from cloudyard.domains.inference import LocalModel, ProviderUnavailable
from cloudyard.domains.inference.reading import STEPS_AHEAD, STEPS_TOGETHER, ReadingTurns, Turn

PATIENCE = 60.0
MODEL = LocalModel("m", Path("m.gguf"), context_length=1000, slots=8, batch_tokens=10)
OTHER = LocalModel("other", Path("m.gguf"), context_length=1000, slots=8, batch_tokens=10)
LONG = "four" * 500
SHORT = "four" * 10
TOGETHER = STEPS_TOGETHER


class Caller:
    """One who reads until told to stop."""

    def __init__(self, turns: ReadingTurns, prompt: str, model: LocalModel = MODEL) -> None:
        self._done = asyncio.Event()
        self.turn: Turn | None = None
        self.task = asyncio.create_task(self._read(turns, prompt, model))

    async def _read(self, turns: ReadingTurns, prompt: str, model: LocalModel) -> None:
        async with turns.turn(model, prompt, PATIENCE) as self.turn:
            await self._done.wait()

    @property
    def reads(self) -> bool:
        return self.turn is not None

    def stop(self) -> None:
        self._done.set()


@pytest.fixture
def turns() -> ReadingTurns:
    return ReadingTurns()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def sign(left: int) -> bytes:
    return json.dumps({"prompt_progress": {"total": 500, "cache": 0, "processed": 500 - left, "time_ms": 1}}).encode()


async def reading(*callers: Caller) -> list[bool]:
    await settle()
    return [caller.reads for caller in callers]


async def test_long_prompts_are_read_one_after_the_other(turns: ReadingTurns) -> None:
    first, second, third = (Caller(turns, LONG) for _ in range(3))
    assert await reading(first, second, third) == [True, False, False]
    first.stop()
    assert await reading(first, second, third) == [True, True, False]
    second.stop()
    third.stop()
    assert await reading(third) == [True]


async def test_short_prompts_are_read_together(turns: ReadingTurns) -> None:
    callers = [Caller(turns, SHORT) for _ in range(TOGETHER + 1)]
    assert await reading(*callers) == [True] * TOGETHER + [False]
    callers[0].stop()
    assert await reading(callers[-1]) == [True]
    for caller in callers:
        caller.stop()


async def test_a_long_prompt_waits_for_the_short_ones_and_is_not_overtaken(turns: ReadingTurns) -> None:
    short, long, late = Caller(turns, SHORT), Caller(turns, LONG), Caller(turns, SHORT)
    assert await reading(short, long, late) == [True, False, False]
    short.stop()
    assert await reading(long, late) == [True, False]
    long.stop()
    assert await reading(late) == [True]
    late.stop()


async def test_the_next_begins_shortly_before_a_prompt_has_been_read(turns: ReadingTurns) -> None:
    first, second, third = (Caller(turns, LONG) for _ in range(3))
    await settle()
    assert first.turn is not None
    first.turn.progress(sign(STEPS_AHEAD * MODEL.batch_tokens + 1))
    assert await reading(second) == [False]
    first.turn.progress(sign(STEPS_AHEAD * MODEL.batch_tokens))
    first.turn.progress(sign(0))
    first.stop()
    assert await reading(second, third) == [True, False]
    second.stop()
    third.stop()


async def test_one_who_leaves_while_it_waits_holds_nobody_up(turns: ReadingTurns) -> None:
    first, leaving, second = (Caller(turns, LONG) for _ in range(3))
    await settle()
    leaving.task.cancel()
    assert await reading(leaving, second) == [False, False]
    first.stop()
    assert await reading(second) == [True]
    second.stop()


async def test_a_long_prompt_that_leaves_the_queue_lets_in_what_fits(turns: ReadingTurns) -> None:
    short, leaving, behind = Caller(turns, SHORT), Caller(turns, LONG), Caller(turns, SHORT)
    await settle()
    leaving.task.cancel()
    assert await reading(behind) == [True]
    short.stop()
    behind.stop()


async def test_one_who_leaves_in_the_moment_of_its_turn_gives_it_back(turns: ReadingTurns) -> None:
    first, leaving, second = (Caller(turns, LONG) for _ in range(3))
    await settle()
    assert first.turn is not None
    first.turn.end()
    leaving.task.cancel()
    assert await reading(leaving, second) == [False, True]
    first.stop()
    second.stop()


async def test_one_who_leaves_while_it_reads_makes_room(turns: ReadingTurns) -> None:
    leaving, second = Caller(turns, LONG), Caller(turns, LONG)
    await settle()
    leaving.task.cancel()
    assert await reading(second) == [True]
    second.stop()


async def test_other_models_read_meanwhile(turns: ReadingTurns) -> None:
    first, other = Caller(turns, LONG), Caller(turns, LONG, OTHER)
    assert await reading(first, other) == [True, True]
    first.stop()
    other.stop()


async def test_after_everyone_has_left_the_whole_room_is_free(turns: ReadingTurns) -> None:
    callers = [Caller(turns, prompt) for prompt in (LONG, SHORT, LONG, SHORT, SHORT)]
    await settle()
    for caller in callers:
        caller.task.cancel()
        await asyncio.sleep(0)
    await asyncio.gather(*(caller.task for caller in callers), return_exceptions=True)
    async with asyncio.timeout(5), AsyncExitStack() as stack:
        for _ in range(TOGETHER):
            await stack.enter_async_context(turns.turn(MODEL, SHORT, PATIENCE))


async def test_whoever_waits_too_long_is_sent_away_and_keeps_nobody_waiting(turns: ReadingTurns) -> None:
    first = Caller(turns, LONG)
    await settle()
    with pytest.raises(ProviderUnavailable, match="had no time"):
        async with turns.turn(MODEL, LONG, 0.01):
            pytest.fail("the first one reads yet")
    first.task.cancel()
    await asyncio.gather(first.task, return_exceptions=True)
    async with asyncio.timeout(5), turns.turn(MODEL, LONG, PATIENCE):
        pass
