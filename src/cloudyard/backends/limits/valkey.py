"""Limits counted in Valkey or Redis, by every process together."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis.asyncio as redis
from limits.aio.storage import RedisStorage
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from cloudyard.backends.limits.outage import Outage
from cloudyard.backends.limits.windows import LARGEST_EXACT_AMOUNT, Count, Counters, verdict_of
from cloudyard.foundation.clock import Clock
from cloudyard.foundation.errors import DomainError, ErrorKind
from cloudyard.foundation.limiting import Limit, Verdict

PREFIX = "cloudyard"
TIMEOUT_SECONDS = 1.0
RETRY_SECONDS = 1.0


class LimitStoreUnavailable(DomainError):
    """The server that counts cannot be reached. Whoever asked decides whether to serve what was not counted."""

    code = "limit_store_unavailable"
    kind = ErrorKind.UNAVAILABLE


class ValkeyLimits:
    """Counts with the scripts of the library `limits`, which Valkey runs one at a time.

    A server that hangs is waited for once: for a moment after that, calls fail without asking it. One that refuses is
    asked every time, since that costs nothing.
    """

    name = "valkey"

    def __init__(self, url: str, clock: Clock) -> None:
        self._clock = clock
        self._outage = Outage(clock)
        self._connections = redis.ConnectionPool.from_url(
            url,
            socket_timeout=TIMEOUT_SECONDS,
            socket_connect_timeout=TIMEOUT_SECONDS,
            retry=Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),  # a connection gone stale
            health_check_interval=30,
        )
        self._server = redis.Redis(connection_pool=self._connections)
        options: dict[str, Any] = {"key_prefix": PREFIX, "connection_pool": self._connections}
        self._counts = RedisStorage("async+redis://", implementation="redispy", **options)

    async def take(self, key: str, limit: Limit, cost: int = 1) -> Verdict:
        """Take `cost` out of the window of `key`; a refused call takes nothing. Raises `LimitStoreUnavailable`."""
        name = _name(key, limit)
        self._check_outage()
        with self._asking():
            if _exact(limit):
                taken = await self._counts.acquire_entry(name, limit.amount, limit.seconds, cost)
            else:
                taken = await self._counts.acquire_sliding_window_entry(name, limit.amount, limit.seconds, cost)
            count = await self._count(name, limit, cost)
        return verdict_of(limit, count._replace(taken=taken), self._now())

    async def peek(self, key: str, limit: Limit) -> Verdict:
        """What `take` would say, without taking. Raises `LimitStoreUnavailable`."""
        self._check_outage()
        with self._asking():
            count = await self._count(_name(key, limit), limit, 1)
        return verdict_of(limit, count, self._now())

    async def ping(self) -> None:
        """Prove that the server answers and can be written. Raises `LimitStoreUnavailable`."""
        with self._asking():
            await self._server.set(f"{PREFIX}:probe", "1", px=1000)

    async def close(self) -> None:
        """Close the connections."""
        await self._connections.aclose()

    async def _count(self, name: str, limit: Limit, cost: int) -> Count:
        """What is used. Of an exact window only the oldest unit is known, so a larger cost may have to wait longer."""
        if not _exact(limit):
            last, _, current, ttl = await self._counts.get_sliding_window(name, limit.seconds)
            counters = Counters(current, last, max(0.0, ttl - limit.seconds))
            used = counters.used(limit)
            fits = used + cost <= limit.amount
            return Count(fits, used, counters.freed_in(limit), 0.0 if fits else counters.fits_in(limit, cost))
        oldest, used = await self._counts.get_moving_window(name, limit.amount, limit.seconds)
        freed_in = oldest + limit.seconds - self._now() if used else 0.0
        never = cost > limit.amount
        return Count(used + cost <= limit.amount, used, freed_in, limit.seconds if never else freed_in)

    def _check_outage(self) -> None:
        if self._outage.lasts():
            raise _unavailable("it was silent a moment ago and is not asked again yet")

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Translate failures of the server, and note whether it hangs."""
        try:
            yield
        except (RedisTimeoutError, TimeoutError) as error:
            self._outage.begin()
            raise _unavailable(str(error) or type(error).__name__) from error
        except (RedisError, OSError) as error:
            self._outage.end()  # it refuses at once
            raise _unavailable(str(error) or type(error).__name__) from error
        self._outage.end()

    def _now(self) -> float:
        """The Unix time, which `limits` reads from the machine's own clock."""
        return self._clock.now().timestamp()


def _exact(limit: Limit) -> bool:
    return limit.amount <= LARGEST_EXACT_AMOUNT


def _name(key: str, limit: Limit) -> str:
    return f"{key}/{limit.amount}/{limit.seconds}"


def _unavailable(reason: str) -> LimitStoreUnavailable:
    return LimitStoreUnavailable(
        "Requests cannot be counted at the moment. Where passwords are tried none is served; all others are, "
        "uncounted. Try again shortly.",
        retry_after=RETRY_SECONDS,
        for_operators=reason,
    )
