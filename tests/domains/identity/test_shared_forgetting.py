"""Sessions that ended in one process are not honoured by another, which hears of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from cloudyard.backends.fan_out.memory import MemoryFanOut
from cloudyard.domains.identity import CredentialCache, Principal, Role, SharedForgetting
from cloudyard.domains.identity.credential_cache import Verified
from cloudyard.testing.clock import ManualClock
from cloudyard.testing.waiting import until


class Process:
    """What one process remembers."""

    def __init__(self, clock: ManualClock, fan_out: MemoryFanOut) -> None:
        self._forgetting = SharedForgetting(fan_out)
        self.cache = CredentialCache(clock, life_seconds=3600, tell=self._forgetting.tell)

    async def knows(self, *users: str) -> None:
        for user in users:
            await self.cache.resolve(user, lambda user=user: _verified(user))

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self._forgetting.run(self.cache))
        await asyncio.sleep(0)
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def _verified(user: str) -> Verified:
    return Verified(Principal(user, Role.USER, f"session-of-{user}", None), None)


@pytest.fixture
def fan_out() -> MemoryFanOut:
    return MemoryFanOut()


async def test_what_is_forgotten_here_is_forgotten_there(clock: ManualClock, fan_out: MemoryFanOut) -> None:
    here, there = Process(clock, fan_out), Process(clock, fan_out)
    async with here.listening(), there.listening():
        await here.knows("ann", "ben")
        await there.knows("ann", "ben")
        here.cache.forget("ann")
        assert here.cache.get("ann") is None, "here it takes effect at once"
        await until(lambda: there.cache.get("ann") is None)
        assert here.cache.get("ben") is not None and there.cache.get("ben") is not None


async def test_who_may_have_missed_something_forgets_everything(clock: ManualClock, fan_out: MemoryFanOut) -> None:
    process = Process(clock, fan_out)
    async with process.listening():
        await process.knows("ann", "ben")
        fan_out.missed()
        await until(lambda: len(process.cache) == 0)
