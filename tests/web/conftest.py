"""A guarded app with real sessions, for tests of the gate and of what stands behind it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cloudyard.backends.limits.memory import MemoryLimits
from cloudyard.foundation.clock import SystemClock
from cloudyard.foundation.database import Database
from cloudyard.foundation.durable import Outbox
from cloudyard.foundation.ids import SystemIds
from cloudyard.foundation.telemetry import Metrics, Tracing
from cloudyard.testing.identity import IdentityParts, identity_parts
from cloudyard.web.gate import GateParts
from cloudyard.web.proxies import TrustedProxies


@pytest.fixture
async def identity(sqlite_database: Database, tmp_path: Path) -> AsyncIterator[IdentityParts]:
    clock, ids = SystemClock(), SystemIds()
    yield identity_parts(sqlite_database, clock, ids, Outbox(clock), tmp_path / "mail")


@pytest.fixture
def gate_parts(identity: IdentityParts) -> GateParts:
    clock = SystemClock()
    return GateParts(
        sessions=identity.sessions,
        limits=MemoryLimits(clock),
        clock=clock,
        ids=SystemIds(),
        metrics=Metrics(),
        tracing=Tracing(),
        proxies=TrustedProxies([]),
        cors_origins=("https://app.example",),
        max_body_bytes=1000,
    )
