"""Limits counted in this process.

Not by the library `limits`, which counts for us in Valkey: its storage in memory never lets go of a key (20,000
keys are all there after their windows have passed) or looks through all of them in between, up to 75 µs a call.
"""

from heapq import heappop, heappush, heapreplace
from itertools import count

from cloudyard.backends.limits.windows import (
    LARGEST_EXACT_AMOUNT,
    ApproximateWindow,
    ExactWindow,
    Window,
    verdict_of,
)
from cloudyard.foundation.clock import Clock
from cloudyard.foundation.limiting import Limit, Verdict

MOST_KEYS = 100_000
SWEPT_AT_ONCE = 4

Name = tuple[str, Limit]


class MemoryLimits:
    """Counts in memory. A key is let go once its window has passed, or, of more than `most_keys`, the one that
    would go next.
    """

    name = "memory"

    def __init__(self, clock: Clock, *, most_keys: int = MOST_KEYS) -> None:
        self._clock = clock
        self._most_keys = most_keys
        self._windows: dict[Name, Window] = {}
        self._ends: list[tuple[float, int, Name]] = []  # a heap with one entry a key, whose time may be too early
        self._numbers = count()

    def __len__(self) -> int:
        """Number of keys that are counted."""
        return len(self._windows)

    async def take(self, key: str, limit: Limit, cost: int = 1) -> Verdict:
        """Take `cost` out of the window of `key`; a refused call takes nothing."""
        now = self._clock.monotonic()
        self._sweep(now)
        window = self._windows.get((key, limit)) or self._begin(now, (key, limit))
        return verdict_of(limit, window.take(now, limit, cost), self._clock.now().timestamp())

    async def peek(self, key: str, limit: Limit) -> Verdict:
        """What `take` would say, without taking."""
        now = self._clock.monotonic()
        window = self._windows.get((key, limit)) or _new_window(limit)
        seen = window.take(now, limit, 0)
        if seen.used >= limit.amount:
            seen = seen._replace(taken=False, fits_in=seen.freed_in or limit.seconds)
        return verdict_of(limit, seen, self._clock.now().timestamp())

    async def ping(self) -> None:
        """Memory always answers."""

    def _begin(self, now: float, name: Name) -> Window:
        if len(self._windows) >= self._most_keys:
            del self._windows[heappop(self._ends)[2]]
        window = self._windows[name] = _new_window(name[1])
        heappush(self._ends, (now + name[1].seconds, next(self._numbers), name))
        return window

    def _sweep(self, now: float) -> None:
        """Let go of a few keys whose time has passed: more than a call can add."""
        for _ in range(SWEPT_AT_ONCE):
            if not self._ends or self._ends[0][0] > now:
                return
            _, number, name = self._ends[0]
            ends_at = self._windows[name].ends_at(name[1])
            if ends_at > now:
                heapreplace(self._ends, (ends_at, number, name))
            else:
                heappop(self._ends)
                del self._windows[name]


def _new_window(limit: Limit) -> Window:
    return ExactWindow() if limit.amount <= LARGEST_EXACT_AMOUNT else ApproximateWindow()
