"""Background work: loops that run beside the server, restarted when they fail, stopped when it stops."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, TypeVar

import structlog

from cloudyard.foundation.clock import Clock, until_beat

log = structlog.get_logger(__name__)

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0

T = TypeVar("T")
Loop = Callable[[], Awaitable[None]]


def every(clock: Clock, seconds: float, work: Callable[[], Awaitable[object]]) -> Loop:
    """A loop that does `work` every so many seconds, in this process."""

    async def loop() -> None:
        while True:
            await clock.sleep(until_beat(clock, seconds))
            await work()

    return loop


class BackgroundWork:
    """Runs named loops for as long as the server runs."""

    def __init__(self, clock: Clock, loops: Mapping[str, Loop]) -> None:
        self._clock = clock
        self._loops = dict(loops)
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Start every loop."""
        self._tasks = [asyncio.create_task(self._keep(n, loop), name=n) for n, loop in self._loops.items()]

    async def stop(self) -> None:
        """Cancel every loop and wait until each has ended."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    async def _keep(self, name: str, loop: Loop) -> None:
        pause = FIRST_PAUSE_SECONDS
        while True:
            started = self._clock.monotonic()
            try:
                await loop()
                return
            except Exception as error:  # noqa: BLE001 - whatever it was, the loop is restarted and the error logged
                log.error("background loop failed, restarting", loop=name, error=f"{type(error).__name__}: {error}")
            if self._clock.monotonic() - started > LONGEST_PAUSE_SECONDS:
                pause = FIRST_PAUSE_SECONDS
            await self._clock.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)


async def to_its_end(work: Coroutine[Any, Any, T], *, at_most: float | None = None) -> T:
    """Finish `work` even when the caller is cancelled meanwhile; the caller goes on only after it.

    With `at_most`, the work has no more than so many seconds from then on, and is cancelled too.
    """
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task], timeout=at_most)
        task.cancel()
        (ended,) = await asyncio.gather(task, return_exceptions=True)
        if isinstance(ended, Exception):  # its caller is gone and cannot tell
            log.error("work failed after its caller was stopped", error=f"{type(ended).__name__}: {ended}")
        raise
