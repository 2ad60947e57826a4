"""Limits counted in memory: the suite, the definition of a moving window, and that memory is let go."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudyard.backends.limits import open_limit_store
from cloudyard.backends.limits.memory import MemoryLimits
from cloudyard.foundation.limiting import Limit
from cloudyard.foundation.settings.limits import LimitSettings
from cloudyard.testing.clock import ManualClock
from cloudyard.testing.limit_store_suite import LimitStoreSuite, key

__all__ = ["key"]


class TestMemoryLimits(LimitStoreSuite):
    """The conformance suite in memory, on a clock of its own."""

    @pytest.fixture
    def limits(self, clock: ManualClock) -> MemoryLimits:
        return MemoryLimits(clock)

    @pytest.fixture
    def pass_time(self, clock: ManualClock) -> Callable[[float], Awaitable[None]]:
        async def pass_time(seconds: float) -> None:
            clock.advance(seconds)

        return pass_time


async def test_times_are_exact(clock: ManualClock) -> None:
    limits = MemoryLimits(clock)
    limit = Limit(3, 100)
    start = clock.now().timestamp()
    assert (await limits.peek("k", limit)).reset_at == start
    assert (await limits.take("k", limit)).reset_at == start + 100
    clock.advance(10)
    assert (await limits.take("k", limit, cost=2)).reset_at == start + 100
    clock.advance(20)
    assert (await limits.take("k", limit)).retry_after == 70
    assert (await limits.take("k", limit, cost=2)).retry_after == 80
    clock.advance(70)
    again = await limits.take("k", limit)
    assert (again.allowed, again.reset_at) == (True, start + 110)


Calls = st.lists(st.tuples(st.integers(0, 40), st.integers(1, 4)), max_size=60)


@given(Calls, st.integers(1, 6), st.integers(1, 30))
def test_exactly_the_definition_of_a_moving_window(calls: list[tuple[int, int]], amount: int, seconds: int) -> None:
    """A call is allowed if what was allowed in the `seconds` before it, and its cost, do not exceed the amount."""
    clock = ManualClock()
    limits, limit = MemoryLimits(clock), Limit(amount, seconds)
    allowed: list[tuple[float, int]] = []
    for pause, cost in calls:
        clock.advance(pause)
        now = clock.monotonic()
        used = sum(each for at, each in allowed if at > now - seconds)
        verdict = asyncio.run(limits.take("k", limit, cost))
        assert verdict.allowed == (used + cost <= amount)
        if verdict.allowed:
            allowed.append((now, cost))
            used += cost
        assert verdict.remaining == amount - used
        if not verdict.allowed and cost <= amount:
            later = now + verdict.retry_after
            assert sum(each for at, each in allowed if at > later - seconds) + cost <= amount
            if verdict.retry_after > 1:
                earlier = later - 1
                assert sum(each for at, each in allowed if at > earlier - seconds) + cost > amount


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 900)), max_size=60), st.integers(1, 30))
def test_a_large_amount_is_never_passed_in_a_window_of_its_own(calls: list[tuple[int, int]], seconds: int) -> None:
    clock = ManualClock()
    limits, limit = MemoryLimits(clock), Limit(2000, seconds)
    allowed: list[tuple[float, int]] = []
    for pause, cost in calls:
        clock.advance(pause)
        now = clock.monotonic()
        verdict = asyncio.run(limits.take("k", limit, cost))
        if verdict.allowed:
            allowed.append((now, cost))
        else:
            assert verdict.retry_after >= 1
            clock.advance(verdict.retry_after)
            assert asyncio.run(limits.peek("k", limit)).remaining >= cost
        assert 0 <= verdict.remaining <= 2000
    for begin, _ in allowed:
        assert sum(cost for at, cost in allowed if begin <= at < begin + seconds) <= 2 * 2000


@pytest.mark.parametrize("limit", [Limit(5, 10), Limit(5000, 10)])
async def test_keys_whose_window_has_passed_are_let_go(clock: ManualClock, limit: Limit) -> None:
    limits = MemoryLimits(clock)
    for number in range(1000):
        await limits.take(f"{number}", limit)
    assert len(limits) == 1000
    clock.advance(25)
    for _ in range(300):
        await limits.take("one", limit)
    assert len(limits) == 1


async def test_a_stream_of_new_keys_does_not_grow(clock: ManualClock) -> None:
    limits = MemoryLimits(clock)
    most = 0
    for number in range(20_000):
        await limits.take(f"{number}", Limit(5, 10))
        clock.advance(0.1)
        most = max(most, len(limits))
    assert most <= 10 / 0.1 + 2


async def test_a_key_in_use_is_kept(clock: ManualClock) -> None:
    limits = MemoryLimits(clock)
    limit = Limit(3, 10)
    for number in range(100):
        assert (await limits.take("kept", limit)).allowed
        for other in range(5):
            await limits.take(f"{number}:{other}", limit)
        clock.advance(4)
    assert (await limits.peek("kept", limit)).remaining == 1


async def test_there_are_never_more_keys_than_may_be(clock: ManualClock) -> None:
    limits = MemoryLimits(clock, most_keys=50)
    await limits.take("long", Limit(1, 10_000))
    for number in range(500):
        await limits.take(f"{number}", Limit(1, 100))
        await limits.take(f"{number}", Limit(1, 100), cost=2)
        assert len(limits) <= 50
        clock.advance(0.01)
    assert not (await limits.take("long", Limit(1, 10_000))).allowed
    assert not (await limits.take("499", Limit(1, 100))).allowed


async def test_the_settings_choose_it(clock: ManualClock) -> None:
    async with open_limit_store(LimitSettings(), clock) as store:
        assert store.name == "memory"
