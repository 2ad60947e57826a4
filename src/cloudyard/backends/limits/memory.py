"""Limits counted in this process."""

import math

from limits import RateLimitItem, RateLimitItemPerSecond
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter, RateLimiter, SlidingWindowCounterRateLimiter

from cloudyard.foundation.clock import Clock
from cloudyard.foundation.limiting import Limit, Verdict

LARGEST_EXACT_AMOUNT = 1000
"""A moving window keeps an entry for every unit; above this many, two counters approximate it instead."""


class MemoryLimits:
    """Counts in memory; the synchronous strategies of `limits`, which never wait for anything."""

    name = "memory"

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        storage = MemoryStorage()
        self._exact = MovingWindowRateLimiter(storage)
        self._approximate = SlidingWindowCounterRateLimiter(storage)
        self._items: dict[Limit, RateLimitItem] = {}

    async def take(self, key: str, limit: Limit, cost: int = 1) -> Verdict:
        """Take `cost` out of the window; a refused call takes nothing."""
        if limit.amount < cost:
            return self._verdict(key, limit, allowed=False)
        return self._verdict(key, limit, allowed=self._strategy(limit).hit(self._item(limit), key, cost=cost))

    async def peek(self, key: str, limit: Limit) -> Verdict:
        """What is left."""
        verdict = self._verdict(key, limit, allowed=True)
        return verdict if verdict.remaining else self._verdict(key, limit, allowed=False)

    async def ping(self) -> None:
        """Memory always answers."""

    def _verdict(self, key: str, limit: Limit, *, allowed: bool) -> Verdict:
        now = self._clock.now().timestamp()
        if limit.amount == 0:
            return Verdict(allowed, 0, 0, math.ceil(now + limit.seconds), limit.seconds)
        window = self._strategy(limit).get_window_stats(self._item(limit), key)
        reset_at = math.ceil(window.reset_time)
        retry_after = 0 if allowed else max(1, math.ceil(window.reset_time - now))
        return Verdict(allowed, limit.amount, max(0, window.remaining), reset_at, retry_after)

    def _strategy(self, limit: Limit) -> RateLimiter:
        return self._exact if limit.amount <= LARGEST_EXACT_AMOUNT else self._approximate

    def _item(self, limit: Limit) -> RateLimitItem:
        item = self._items.get(limit)
        if item is None:
            item = self._items[limit] = RateLimitItemPerSecond(limit.amount, limit.seconds)
        return item
