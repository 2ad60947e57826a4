"""Waiting for what happens by itself a moment later."""

import asyncio
from collections.abc import Callable

LONGEST_SECONDS = 10.0


async def until(condition: Callable[[], bool]) -> None:
    """Return as soon as the condition holds; TimeoutError if it does not within ten seconds."""
    async with asyncio.timeout(LONGEST_SECONDS):
        while not condition():
            await asyncio.sleep(0.002)
