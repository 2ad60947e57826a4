"""Time that a test owns."""

import asyncio
from datetime import UTC, datetime, timedelta


class ManualClock:
    """A clock that moves only when told to; `sleep` returns once it was moved far enough."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._now = start
        self._elapsed = 0.0

    def now(self) -> datetime:
        """The moment it was set to."""
        return self._now

    def monotonic(self) -> float:
        """Seconds it was moved by."""
        return self._elapsed

    def advance(self, seconds: float) -> None:
        """Move forward."""
        self._now += timedelta(seconds=seconds)
        self._elapsed += seconds

    async def sleep(self, seconds: float) -> None:
        """Yield to the event loop until the clock was moved past the wanted moment."""
        until = self._elapsed + seconds
        while self._elapsed < until:
            await asyncio.sleep(0.001)
