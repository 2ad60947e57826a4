"""The two ways of counting in a window that moves, for one key. Times are in seconds of any one clock."""

from array import array
from bisect import bisect_right
from math import ceil, floor
from typing import NamedTuple, Protocol

from cloudyard.foundation.limiting import Limit, Verdict

LARGEST_EXACT_AMOUNT = 1000
"""Exact counting keeps the time of every unit; larger amounts, such as of tokens, are counted approximately."""


class Count(NamedTuple):
    """Whether the cost was taken, what is used, and the seconds until some of that is free and until the cost fits."""

    taken: bool
    used: int
    freed_in: float
    fits_in: float = 0.0


def verdict_of(limit: Limit, count: Count, unix_time: float) -> Verdict:
    """What to tell the caller at that time."""
    retry_after = 0 if count.taken else max(1, ceil(count.fits_in))
    remaining = max(0, limit.amount - count.used)
    return Verdict(count.taken, limit.amount, remaining, ceil(unix_time + count.freed_in), retry_after)


class Window(Protocol):
    """The units taken under one key."""

    def take(self, now: float, limit: Limit, cost: int) -> Count:
        """Take `cost` units if they fit; a cost of 0 only looks."""
        ...

    def ends_at(self, limit: Limit) -> float:
        """When nothing of it counts any more, unless more is taken."""
        ...


class ExactWindow:
    """Every unit with its time: never more than the amount in any window (from a moment up to `seconds` later)."""

    __slots__ = ("_times",)

    def __init__(self) -> None:
        self._times = array("d")

    def take(self, now: float, limit: Limit, cost: int) -> Count:
        """Take `cost` units if they fit."""
        times = self._times
        del times[: bisect_right(times, now - limit.seconds)]
        too_many = len(times) + cost - limit.amount
        if cost > limit.amount:
            return Count(False, len(times), self._freed_in(now, limit), limit.seconds)
        if cost and too_many > 0:
            return Count(False, len(times), self._freed_in(now, limit), times[too_many - 1] + limit.seconds - now)
        times.extend([now] * cost)
        return Count(True, len(times), self._freed_in(now, limit))

    def ends_at(self, limit: Limit) -> float:
        """When the last unit leaves the window."""
        return self._times[-1] + limit.seconds if self._times else 0.0

    def _freed_in(self, now: float, limit: Limit) -> float:
        return self._times[0] + limit.seconds - now if self._times else 0.0


class Counters(NamedTuple):
    """The units of this window and of the last one, and the `rest` of this window in seconds.

    The sliding window counter of the library `limits` and of its script for Valkey: the last window counts by the
    share of it that is still in view, as if it had been used evenly.
    """

    current: int
    last: int
    rest: float

    def used(self, limit: Limit) -> int:
        """Units that count now."""
        return floor(self.last * self.rest / limit.seconds) + self.current

    def freed_in(self, limit: Limit) -> float:
        """Seconds until the first of them does not."""
        return self.rest % (limit.seconds / self.last) if self.last else self.rest * bool(self.current)

    def fits_in(self, limit: Limit, cost: int) -> float:
        """Seconds until there is room for a cost that has none now."""
        room = limit.amount - cost
        if room < 0:
            return limit.seconds
        if self.current <= room:
            return self.rest - (room - self.current) * limit.seconds / self.last
        return self.rest + (1 - room / self.current) * limit.seconds


class ApproximateWindow:
    """Two counters, however much is taken."""

    __slots__ = ("_current", "_last", "_start")

    def __init__(self) -> None:
        self._start = 0.0
        self._current = 0
        self._last = 0

    def take(self, now: float, limit: Limit, cost: int) -> Count:
        """Take `cost` units if they fit."""
        self._move(now, limit.seconds)
        counters = Counters(self._current, self._last, self._start + limit.seconds - now)
        used = counters.used(limit)
        if cost and used + cost > limit.amount:
            return Count(False, used, counters.freed_in(limit), counters.fits_in(limit, cost))
        self._current += cost
        return Count(True, used + cost, Counters(self._current, self._last, counters.rest).freed_in(limit))

    def ends_at(self, limit: Limit) -> float:
        """When both counters are out of view."""
        return self._start + 2 * limit.seconds

    def _move(self, now: float, seconds: int) -> None:
        passed = now - self._start
        if passed >= 2 * seconds or not (self._current or self._last):
            self._start, self._current, self._last = now, 0, 0
        elif passed >= seconds:
            self._start, self._current, self._last = self._start + seconds, 0, self._current
