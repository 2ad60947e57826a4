"""A key is claimed once, answers its repetitions with what it stored, and is forgotten in time."""

import asyncio
from contextlib import ExitStack
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from cloudyard.foundation.database import Database
from cloudyard.foundation.durable import IdempotencyKeys, StoredAnswer
from cloudyard.foundation.durable.idempotency import (
    EXTENDED_EVERY,
    IN_FLIGHT_FOR,
    KEPT_FOR,
    LONGEST_KEY,
    IdempotencyKeyInFlight,
    IdempotencyKeyReused,
    KeyClaim,
    idempotency_keys,
)
from cloudyard.foundation.errors import InvalidInput
from cloudyard.testing.clock import ManualClock

ANSWER = StoredAnswer(201, {"content-type": "application/json"}, b'{"id": "\xc3\xa9"}\x00')
SECOND = timedelta(seconds=1)


@pytest.fixture
def keys(database: Database, clock: ManualClock) -> IdempotencyKeys:
    return IdempotencyKeys(database, clock)


async def claimed(keys: IdempotencyKeys, fingerprint: str = "body", scope: str = "user:route") -> KeyClaim:
    claim = await keys.begin(scope, "key", fingerprint)
    assert isinstance(claim, KeyClaim)
    return claim


async def test_a_repetition_gets_the_first_answer(keys: IdempotencyKeys) -> None:
    await keys.complete(await claimed(keys), ANSWER)
    assert await keys.begin("user:route", "key", "body") == ANSWER


async def test_the_answer_is_stored_with_the_change_or_not_at_all(keys: IdempotencyKeys, database: Database) -> None:
    claim = await claimed(keys)
    with pytest.raises(RuntimeError):
        async with database.transaction() as tx:
            await tx.run_sync(keys.completion(claim, ANSWER))
            raise RuntimeError
    with pytest.raises(IdempotencyKeyInFlight):
        await keys.begin("user:route", "key", "body")
    async with database.transaction() as tx:
        await tx.run_sync(keys.completion(claim, ANSWER))
    assert await keys.begin("user:route", "key", "body") == ANSWER


async def test_a_repetition_while_the_first_is_in_flight_is_refused(keys: IdempotencyKeys) -> None:
    await claimed(keys)
    with pytest.raises(IdempotencyKeyInFlight) as caught:
        await keys.begin("user:route", "key", "body")
    assert caught.value.retry_after


async def test_another_body_is_refused_before_and_after_the_answer(keys: IdempotencyKeys) -> None:
    claim = await claimed(keys)
    with pytest.raises(IdempotencyKeyReused):
        await keys.begin("user:route", "key", "other body")
    await keys.complete(claim, ANSWER)
    with pytest.raises(IdempotencyKeyReused):
        await keys.begin("user:route", "key", "other body")


async def test_keys_of_others_and_of_other_routes_never_meet(keys: IdempotencyKeys) -> None:
    await claimed(keys)
    await claimed(keys, scope="other:route")
    await claimed(keys, scope="user:other route")


async def test_of_many_at_once_one_goes_on(keys: IdempotencyKeys) -> None:
    begun = await asyncio.gather(*(keys.begin("user:route", "key", "body") for _ in range(20)), return_exceptions=True)
    assert sum(isinstance(one, KeyClaim) for one in begun) == 1
    assert sum(isinstance(one, IdempotencyKeyInFlight) for one in begun) == 19


async def test_a_request_that_failed_may_come_again(keys: IdempotencyKeys) -> None:
    await keys.abandon(await claimed(keys))
    await claimed(keys, "other body")


async def test_an_answer_that_was_stored_is_not_abandoned(keys: IdempotencyKeys) -> None:
    claim = await claimed(keys)
    await keys.complete(claim, ANSWER)
    await keys.abandon(claim)
    assert await keys.begin("user:route", "key", "body") == ANSWER


async def test_a_key_whose_process_was_killed_is_free_again_in_time(keys: IdempotencyKeys, clock: ManualClock) -> None:
    await claimed(keys)
    clock.advance(IN_FLIGHT_FOR.total_seconds())
    with pytest.raises(IdempotencyKeyInFlight):
        await keys.begin("user:route", "key", "body")
    clock.advance(1)
    await claimed(keys, "other body")


async def test_a_claim_that_ran_out_neither_stores_nor_frees_the_next_ones_key(
    keys: IdempotencyKeys, clock: ManualClock
) -> None:
    late = await claimed(keys, "first body")
    clock.advance((IN_FLIGHT_FOR + SECOND).total_seconds())
    claim = await claimed(keys, "second body")
    await keys.complete(late, StoredAnswer(500, {}, b"late"))
    await keys.abandon(late)
    with pytest.raises(IdempotencyKeyInFlight):
        await keys.begin("user:route", "key", "second body")
    await keys.complete(claim, ANSWER)
    assert await keys.begin("user:route", "key", "second body") == ANSWER


async def time_passes(by: timedelta, clock: ManualClock, *processes: IdempotencyKeys) -> None:
    """Move the clock as far, while each process extends what runs in it as often as it should."""
    for _ in range(by // EXTENDED_EVERY):
        clock.advance(EXTENDED_EVERY.total_seconds())
        for keys in processes:
            await keys.extend_running()
    clock.advance((by % EXTENDED_EVERY).total_seconds())


async def test_a_claim_lasts_as_long_as_its_request_runs(
    keys: IdempotencyKeys, database: Database, clock: ManualClock
) -> None:
    claim = await claimed(keys)
    another_process = IdempotencyKeys(database, clock)
    with keys.running(claim):
        await time_passes(4 * IN_FLIGHT_FOR + SECOND, clock, keys, another_process)
        with pytest.raises(IdempotencyKeyInFlight):
            await another_process.begin("user:route", "key", "body")
        await another_process.prune()
        await keys.complete(claim, ANSWER)
    assert await another_process.begin("user:route", "key", "body") == ANSWER


async def test_a_request_that_ran_long_and_failed_may_come_again(keys: IdempotencyKeys, clock: ManualClock) -> None:
    claim = await claimed(keys)
    with keys.running(claim):
        await time_passes(IN_FLIGHT_FOR + SECOND, clock, keys)
        await keys.abandon(claim)
    await claimed(keys, "other body")


async def test_what_has_just_begun_is_not_extended(keys: IdempotencyKeys, clock: ManualClock) -> None:
    with keys.running(await claimed(keys)):
        clock.advance((EXTENDED_EVERY - SECOND).total_seconds())
        await keys.extend_running()
        clock.advance((IN_FLIGHT_FOR - EXTENDED_EVERY + 2 * SECOND).total_seconds())
        await claimed(keys, "other body")


async def test_a_claim_is_extended_no_longer_once_its_request_has_ended(
    keys: IdempotencyKeys, clock: ManualClock
) -> None:
    with pytest.raises(RuntimeError), keys.running(await claimed(keys)):
        await time_passes(2 * EXTENDED_EVERY, clock, keys)
        raise RuntimeError
    await time_passes(IN_FLIGHT_FOR, clock, keys)
    with pytest.raises(IdempotencyKeyInFlight):
        await keys.begin("user:route", "key", "body")
    clock.advance(1)
    await claimed(keys, "other body")


async def test_a_process_that_was_killed_holds_what_it_extended_no_longer_than_usual(
    keys: IdempotencyKeys, database: Database, clock: ManualClock
) -> None:
    killed = IdempotencyKeys(database, clock)
    with killed.running(await claimed(killed)):
        await time_passes(2 * IN_FLIGHT_FOR, clock, killed, keys)
        await time_passes(IN_FLIGHT_FOR, clock, keys)
        with pytest.raises(IdempotencyKeyInFlight):
            await keys.begin("user:route", "key", "body")
        clock.advance(1)
        await claimed(keys, "other body")


async def test_a_claim_that_ran_out_and_is_anothers_now_is_not_extended(
    keys: IdempotencyKeys, database: Database, clock: ManualClock
) -> None:
    stalled = IdempotencyKeys(database, clock)
    with stalled.running(await claimed(stalled, "first body")):
        clock.advance((IN_FLIGHT_FOR + SECOND).total_seconds())
        await claimed(keys, "second body")
        await time_passes(IN_FLIGHT_FOR + SECOND, clock, stalled)
        await claimed(keys, "third body")


async def test_a_claim_that_ran_out_and_nobody_took_is_taken_up_again(
    keys: IdempotencyKeys, clock: ManualClock
) -> None:
    claim = await claimed(keys)
    with keys.running(claim):
        clock.advance((IN_FLIGHT_FOR + SECOND).total_seconds())
        await keys.extend_running()
        with pytest.raises(IdempotencyKeyInFlight):
            await keys.begin("user:route", "key", "body")
        await keys.complete(claim, ANSWER)
    assert await keys.begin("user:route", "key", "body") == ANSWER


async def test_many_claims_are_extended_while_some_of_them_end(keys: IdempotencyKeys, clock: ManualClock) -> None:
    claims = [await claimed(keys, scope=f"user:route {number}") for number in range(20)]
    with ExitStack() as running:
        for claim in claims:
            running.enter_context(keys.running(claim))
        clock.advance(EXTENDED_EVERY.total_seconds())
        await asyncio.gather(keys.extend_running(), *(keys.complete(claim, ANSWER) for claim in claims[::2]))
    clock.advance((IN_FLIGHT_FOR - SECOND).total_seconds())
    for claim in claims[::2]:
        assert await keys.begin(claim.scope, "key", "body") == ANSWER
    for claim in claims[1::2]:
        with pytest.raises(IdempotencyKeyInFlight):
            await keys.begin(claim.scope, "key", "body")


async def test_answers_are_kept_for_a_day(keys: IdempotencyKeys, database: Database, clock: ManualClock) -> None:
    await keys.complete(await claimed(keys), ANSWER)
    clock.advance(KEPT_FOR.total_seconds())
    await keys.prune()
    assert await keys.begin("user:route", "key", "body") == ANSWER
    clock.advance(1)
    await keys.prune()
    async with database.reading() as tx:
        assert await tx.scalar(select(func.count()).select_from(idempotency_keys)) == 0
    await claimed(keys)


async def test_a_key_of_the_wrong_length_is_refused(keys: IdempotencyKeys) -> None:
    for key in ("", "x" * (LONGEST_KEY + 1)):
        with pytest.raises(InvalidInput) as caught:
            await keys.begin("user:route", key, "body")
        assert caught.value.field == "Idempotency-Key"
    assert isinstance(await keys.begin("user:route", "x" * LONGEST_KEY, "body"), KeyClaim)


async def test_a_claim_whose_answer_comes_later_is_neither_abandoned_nor_lost(
    keys: IdempotencyKeys, database: Database, clock: ManualClock
) -> None:
    """The request is over; the change that its answer belongs to is made once the database can be used again."""
    claim = await claimed(keys)
    completion = keys.completion(claim, ANSWER)
    with keys.running(claim):
        completion.put_off()
        await keys.abandon(claim)
    for _ in range(10):
        clock.advance(EXTENDED_EVERY.total_seconds() + 1)
        await keys.extend_running()
    with pytest.raises(IdempotencyKeyInFlight):
        await keys.begin(claim.scope, claim.key, "body")
    await database.run(completion)
    completion.done()
    assert await keys.begin(claim.scope, claim.key, "body") == ANSWER


async def test_a_claim_whose_answer_never_came_lapses(keys: IdempotencyKeys, clock: ManualClock) -> None:
    claim = await claimed(keys)
    completion = keys.completion(claim, ANSWER)
    completion.put_off()
    await keys.abandon(claim)
    completion.done()
    await keys.extend_running()
    clock.advance(IN_FLIGHT_FOR.total_seconds() + 1)
    assert isinstance(await keys.begin(claim.scope, claim.key, "body"), KeyClaim)
