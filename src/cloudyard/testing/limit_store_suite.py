"""What every limit store must do. A test class inherits this and gives the fixtures `limits` and `pass_time`."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable

import pytest

from cloudyard.foundation.limiting import Limit, LimitStore

PassTime = Callable[[float], Awaitable[None]]

FEW = Limit(3, 2)
MANY = Limit(100_000, 2)
NOTHING = Limit(0, 60)


@pytest.fixture
def key() -> str:
    """A key that no other test uses."""
    return f"test:{uuid.uuid4()}"


class LimitStoreSuite:
    """Conformance of a `LimitStore`."""

    async def test_allows_the_amount_and_no_more(self, limits: LimitStore, key: str) -> None:
        taken = [await limits.take(key, FEW) for _ in range(5)]
        assert [verdict.allowed for verdict in taken] == [True, True, True, False, False]
        assert [verdict.remaining for verdict in taken] == [2, 1, 0, 0, 0]
        assert {verdict.limit for verdict in taken} == {3}
        assert [verdict.retry_after for verdict in taken[:3]] == [0, 0, 0]
        assert all(1 <= verdict.retry_after <= 2 for verdict in taken[3:])

    async def test_has_room_again_when_it_says(self, limits: LimitStore, key: str, pass_time: PassTime) -> None:
        for limit in (FEW, MANY):
            cost = limit.amount // 3
            while (verdict := await limits.take(key, limit, cost)).allowed:
                pass
            await pass_time(verdict.retry_after)
            assert (await limits.take(key, limit, cost)).allowed

    async def test_the_window_moves(self, limits: LimitStore, key: str, pass_time: PassTime) -> None:
        """What was taken late in a window still counts early in the next."""
        await limits.take(key, FEW)
        await pass_time(1.2)
        await limits.take(key, FEW, cost=2)
        assert not (await limits.take(key, FEW)).allowed
        await pass_time(0.9)
        assert [(await limits.take(key, FEW)).allowed for _ in range(2)] == [True, False]
        await pass_time(1.2)
        assert [(await limits.take(key, FEW)).allowed for _ in range(3)] == [True, True, False]

    async def test_a_refused_call_takes_nothing(self, limits: LimitStore, key: str, pass_time: PassTime) -> None:
        for limit in (FEW, MANY):
            assert (await limits.take(key, limit, cost=limit.amount)).allowed
            for _ in range(10):
                assert not (await limits.take(key, limit)).allowed
            await pass_time(2 * limit.seconds + 0.1)
            assert (await limits.take(key, limit, cost=limit.amount)).allowed

    @pytest.mark.parametrize("limit", [FEW, MANY])
    async def test_a_cost_fits_whole_or_not_at_all(self, limits: LimitStore, key: str, limit: Limit) -> None:
        most = limit.amount
        assert (await limits.take(key, limit, cost=most - 1)).remaining == 1
        refused = await limits.take(key, limit, cost=2)
        assert (refused.allowed, refused.remaining) == (False, 1)
        assert refused.retry_after >= 1
        assert (await limits.take(key, limit, cost=1)).remaining == 0

    @pytest.mark.parametrize("limit", [FEW, MANY])
    async def test_a_cost_above_the_amount_never_fits(self, limits: LimitStore, key: str, limit: Limit) -> None:
        refused = await limits.take(key, limit, cost=limit.amount + 1)
        assert (refused.allowed, refused.remaining, refused.retry_after) == (False, limit.amount, limit.seconds)

    async def test_nothing_may_be_allowed(self, limits: LimitStore, key: str) -> None:
        for verdict in (await limits.take(key, NOTHING), await limits.peek(key, NOTHING)):
            assert (verdict.allowed, verdict.limit, verdict.remaining, verdict.retry_after) == (False, 0, 0, 60)

    @pytest.mark.parametrize("limit", [FEW, MANY])
    async def test_a_look_takes_nothing(self, limits: LimitStore, key: str, limit: Limit) -> None:
        for _ in range(5):
            untouched = await limits.peek(key, limit)
            assert (untouched.allowed, untouched.remaining, untouched.retry_after) == (True, limit.amount, 0)
        await limits.take(key, limit, cost=limit.amount)
        used_up = await limits.peek(key, limit)
        assert (used_up.allowed, used_up.remaining) == (False, 0)
        assert used_up.retry_after >= 1

    async def test_keys_and_limits_are_counted_apart(self, limits: LimitStore, key: str) -> None:
        await limits.take(key, FEW, cost=3)
        assert (await limits.take(f"{key}:other", FEW)).allowed
        assert (await limits.take(key, Limit(3, 3))).remaining == 2
        assert (await limits.take(key, Limit(4, 2))).remaining == 3
        assert not (await limits.take(key, FEW)).allowed

    @pytest.mark.parametrize("name", ["", " ", "ä\u202e", "a\nb", "a\x00b", "{a}", "a/1/2", "*", "x" * 5000])
    async def test_any_text_is_a_key(self, limits: LimitStore, key: str, name: str) -> None:
        assert (await limits.take(key + name, FEW)).remaining == 2
        assert (await limits.take(key + name, FEW)).remaining == 1

    async def test_parallel_callers_never_share_the_last_unit(self, limits: LimitStore, key: str) -> None:
        ten = Limit(10, 60)
        taken = await asyncio.gather(*(limits.take(key, ten) for _ in range(50)))
        assert sum(verdict.allowed for verdict in taken) == 10
        tokens = Limit(50_000, 60)
        taken = await asyncio.gather(*(limits.take(key, tokens, cost=1000) for _ in range(80)))
        assert sum(verdict.allowed for verdict in taken) == 50

    async def test_a_large_amount_comes_back_little_by_little(
        self, limits: LimitStore, key: str, pass_time: PassTime
    ) -> None:
        await limits.take(key, MANY, cost=MANY.amount)
        await pass_time(2.5)
        early = (await limits.peek(key, MANY)).remaining
        await pass_time(1.0)
        late = (await limits.peek(key, MANY)).remaining
        assert 0 < early < late < MANY.amount
        await pass_time(1.0)
        assert (await limits.peek(key, MANY)).remaining == MANY.amount

    async def test_answers(self, limits: LimitStore) -> None:
        await limits.ping()
        assert limits.name
