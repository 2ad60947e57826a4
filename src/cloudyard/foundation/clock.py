"""Time as a dependency, so that tests own it."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Where everything that needs the time gets it."""

    def now(self) -> datetime:
        """The current moment, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go backwards; only differences mean anything."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds`."""
        ...


def until_beat(clock: Clock, seconds: float) -> float:
    """Seconds until the next beat: all who keep a rhythm then do so together, and wake the machine once, not each.

    A beat that is nearer than a tenth of the rhythm is left out: whoever slept for it was woken a little too soon.
    """
    left = seconds - clock.monotonic() % seconds
    return left if left > seconds / 10 else left + seconds


class SystemClock:
    """The machine's own clock. Its seconds count from when it was made, so that processes do not beat together."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def now(self) -> datetime:
        """The current moment in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds since it was made."""
        return time.monotonic() - self._start

    async def sleep(self, seconds: float) -> None:
        """Sleep on the event loop."""
        await asyncio.sleep(seconds)
