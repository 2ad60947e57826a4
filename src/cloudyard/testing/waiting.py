"""Waiting for what happens by itself a moment later."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from cloudyard.testing.clock import ManualClock

T = TypeVar("T")

LONGEST_SECONDS = 10.0
RECOVERS_WITHIN_SECONDS = 90.0
ASKED_EVERY_SECONDS = 0.1


async def until(condition: Callable[[], bool]) -> None:
    """Return as soon as the condition holds; TimeoutError if it does not within ten seconds."""
    async with asyncio.timeout(LONGEST_SECONDS):
        while not condition():
            await asyncio.sleep(0.002)


async def until_after(clock: ManualClock, seconds: float, condition: Callable[[], bool]) -> None:
    """Move the clock by so much again and again until the condition holds; TimeoutError as above.

    Once is not enough where a loop reads the clock by itself: it may begin its pause after the clock was moved.
    """

    def holds() -> bool:
        clock.advance(seconds)
        return condition()

    await until(holds)


async def eventually(ask: Callable[[], Awaitable[T]], good: Callable[[T], object]) -> T:
    """Ask again and again until the answer is good, and give it back; AssertionError with the last one if none is."""
    answer = await ask()
    try:
        async with asyncio.timeout(RECOVERS_WITHIN_SECONDS):
            while not good(answer):
                await asyncio.sleep(ASKED_EVERY_SECONDS)
                answer = await ask()
    except TimeoutError as error:
        raise AssertionError(f"not within {RECOVERS_WITHIN_SECONDS:g} s; the last answer was {answer!r}") from error
    return answer
