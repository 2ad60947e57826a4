"""A guarded app with real sessions, for tests of the gate and of what stands behind it."""

from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from starlette.types import ASGIApp

from cloudyard.foundation.clock import Clock, SystemClock
from cloudyard.foundation.database import Database
from cloudyard.foundation.durable import Outbox
from cloudyard.foundation.ids import SystemIds
from cloudyard.foundation.limiting import Limit, Verdict
from cloudyard.foundation.telemetry import Metrics, Tracing
from cloudyard.testing.identity import IdentityParts, identity_parts
from cloudyard.web.gate import GateParts
from cloudyard.web.proxies import TrustedProxies


class WindowStore:
    """Moving windows over a clock, for one test."""

    name = "test"

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._taken: dict[str, deque[float]] = defaultdict(deque)

    async def take(self, key: str, limit: Limit, cost: int = 1) -> Verdict:
        verdict = await self.peek(key, limit)
        if verdict.remaining < cost:
            wait = max(1, verdict.reset_at - int(self._clock.now().timestamp()))
            return Verdict(False, limit.amount, verdict.remaining, verdict.reset_at, wait)
        self._taken[key].extend([self._clock.now().timestamp()] * cost)
        return Verdict(True, limit.amount, verdict.remaining - cost, verdict.reset_at, 0)

    async def peek(self, key: str, limit: Limit) -> Verdict:
        now = self._clock.now().timestamp()
        window = self._taken[key]
        while window and window[0] <= now - limit.seconds:
            window.popleft()
        reset_at = int((window[0] if window else now) + limit.seconds)
        return Verdict(len(window) < limit.amount, limit.amount, limit.amount - len(window), reset_at, 0)

    async def ping(self) -> None:
        return


@pytest.fixture
async def identity(sqlite_database: Database, tmp_path: Path) -> AsyncIterator[IdentityParts]:
    clock, ids = SystemClock(), SystemIds()
    yield identity_parts(sqlite_database, clock, ids, Outbox(clock), tmp_path / "mail")


@pytest.fixture
def gate_parts(identity: IdentityParts) -> GateParts:
    clock = SystemClock()
    return GateParts(
        sessions=identity.sessions,
        limits=WindowStore(clock),
        clock=clock,
        ids=SystemIds(),
        metrics=Metrics(),
        tracing=Tracing(),
        proxies=TrustedProxies([]),
        cors_origins=("https://app.example",),
        max_body_bytes=1000,
    )


Guard = Callable[[ASGIApp], ASGIApp]
