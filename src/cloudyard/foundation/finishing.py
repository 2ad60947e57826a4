"""Waiting for work that must not be left half done."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any


async def ended(task: "asyncio.Future[Any]") -> None:
    """Return once the task has ended, however often the caller is cancelled meanwhile: anyio cancels a task anew at
    every turn of the loop. The caller, who was cancelled before, raises that again afterwards."""
    await until_done(task.done, lambda: asyncio.wait([task]))


async def until_done(done: Callable[[], bool], wait: Callable[[], Awaitable[object]]) -> None:
    """As `ended`, for whatever can be waited for."""
    while not done():
        with suppress(asyncio.CancelledError):
            await wait()
