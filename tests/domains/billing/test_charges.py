"""The charge around a billable call, whole, cut short, expired, capped."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select

from cloudyard.domains.audit.models import audit_entries
from cloudyard.domains.billing import Charge, Meter, Payer, Price, PriceLine, SpendCapReached, Usage, UsageOutcome
from cloudyard.domains.billing.batch import ChargeBatches, Expire
from cloudyard.domains.billing.models import budgets
from cloudyard.domains.ledger import EntryKind, HoldNotOpen, HoldState, InsufficientCredits
from cloudyard.domains.ledger.models import holds
from cloudyard.foundation.database import Database, DatabaseUnavailable, GroupCommit
from cloudyard.foundation.errors import InvalidInput
from cloudyard.testing.clock import ManualClock
from cloudyard.testing.factories import HOLD_LIFE, Books, open_books
from cloudyard.testing.failing_commits import no_commits

CALL, INPUT, OUTPUT = Meter.CALL, Meter.INPUT_TOKEN, Meter.OUTPUT_TOKEN
LIFE = HOLD_LIFE.total_seconds()


async def balances(books: Books, user: str) -> tuple[int, int]:
    wallet = await books.wallet(user)
    return wallet.available, wallet.held


def after(books: Books, clock: ManualClock) -> Books:
    """The same books in another process, after the one that opened its charges was killed."""
    return open_books(books.database, clock, books.ids)


async def hold(books: Books, charge: Charge) -> Any:
    async with books.database.reading() as tx:
        return await tx.first(select(holds).where(holds.c.id == charge.hold_id))


async def budget(books: Books, key: str) -> tuple[int, int, int]:
    async with books.database.reading() as tx:
        row = await tx.first(select(budgets).where(budgets.c.id == key))
    assert row is not None
    return row.cap_nanos, row.spent_nanos, row.held_nanos


@pytest.fixture
async def user(books: Books) -> str:
    return await books.user(1000)


@pytest.fixture
async def price(books: Books) -> Price:
    return await books.price(10)


async def test_the_worst_case_is_set_aside_and_what_was_used_is_charged(
    books: Books, user: str, price: Price, clock: ManualClock
) -> None:
    charge = await books.open(user, price, {CALL: 30})
    assert (charge.held_nanos, books.charges.running) == (300, 1)
    assert await balances(books, user) == (700, 300)
    clock.advance(5)
    settlement = await books.charges.settle(charge, Usage({CALL: 12}, details={"model": "é"}))
    assert settlement.amount == 120
    assert await balances(books, user) == (880, 0)
    assert books.charges.running == 0
    (record,) = await books.billing.usage(user, limit=10)
    assert (record.hold_id, record.amount, record.quantities) == (settlement.hold_id, 120, {"call": 12})
    assert (record.price_id, record.hold_id, record.outcome) == (price.id, charge.hold_id, "completed")
    assert (record.details, record.created_at) == ({"model": "é"}, clock.now())
    ((line, _), total) = await books.ledger.history(user, limit=2)
    assert (line.kind, line.amount, line.balance, total) == (EntryKind.USAGE, -120, 880, 2)
    assert await books.discrepancies() == []


async def test_a_released_charge_costs_nothing_and_leaves_no_line(books: Books, user: str, price: Price) -> None:
    charge = await books.open(user, price, {CALL: 30})
    await books.charges.release(charge, "Not served")
    assert await balances(books, user) == (1000, 0)
    assert (await books.ledger.history(user, limit=9))[1] == 1
    assert (await books.billing.usage(user, limit=9), books.charges.running) == ([], 0)
    assert await books.discrepancies() == []


@pytest.mark.parametrize("used", [{}, {CALL: 0}, {INPUT: 5}], ids=["nothing", "zero", "a free meter"])
async def test_usage_that_costs_nothing_is_recorded(
    books: Books, user: str, price: Price, used: dict[Meter, int]
) -> None:
    charge = await books.open(user, price, {CALL: 30})
    settlement = await books.charges.settle(charge, Usage(used, UsageOutcome.CLIENT_LEFT))
    assert settlement.amount == 0
    assert await balances(books, user) == (1000, 0)
    (record,) = await books.billing.usage(user, limit=9)
    assert (record.amount, record.outcome) == (0, "client_left")
    assert await books.discrepancies() == []


async def test_a_free_call_needs_no_credit(books: Books) -> None:
    user, free = await books.user(), await books.price(0)
    settlement = await books.charge(user, free, {CALL: 3})
    assert settlement.amount == 0
    charge = await books.open(user, free)
    await books.charges.release(charge, "Not served")
    assert len(await books.billing.usage(user, limit=9)) == 1
    assert await books.discrepancies() == []


async def test_all_of_the_wallet_can_be_spent_and_not_a_nano_more(books: Books, price: Price) -> None:
    user = await books.user(100)
    with pytest.raises(InsufficientCredits) as caught:
        await books.open(user, price, {CALL: 11})
    assert caught.value.details == {"available_nanos": 100, "needed_nanos": 110}
    assert books.charges.running == 0
    await books.charge(user, price, {CALL: 10})
    assert await balances(books, user) == (0, 0)
    with pytest.raises(InsufficientCredits):
        await books.open(user, price)


async def test_a_user_without_a_wallet_is_refused(books: Books, price: Price) -> None:
    with pytest.raises(InsufficientCredits):
        await books.open("nobody", price)
    assert await books.discrepancies() == []


async def test_usage_beyond_the_worst_case_is_charged_as_far_as_the_hold_goes(books: Books, user: str) -> None:
    price = await books.prices.publish("tokens", [PriceLine(INPUT, 3), PriceLine(OUTPUT, 7)])
    charge = await books.open(user, price, {INPUT: 10, OUTPUT: 10})
    assert charge.held_nanos == 100
    beyond = {INPUT: 12, OUTPUT: 11}
    assert charge.amount_of(beyond) == 99
    settlement = await books.charges.settle(charge, Usage(beyond, details={"model": "m"}))
    assert settlement.amount == 99
    (record,) = await books.billing.usage(user, limit=1)
    assert record.quantities == {"input_token": 12, "output_token": 9}
    assert record.details == {"model": "m", "reported": {"input_token": 12, "output_token": 11}}
    assert await balances(books, user) == (901, 0)
    assert await books.discrepancies() == []


async def test_the_other_meters_are_cut_where_the_answer_alone_does_not_do(books: Books, user: str) -> None:
    price = await books.prices.publish("tokens", [PriceLine(INPUT, 30), PriceLine(OUTPUT, 7)])
    charge = await books.open(user, price, {INPUT: 1, OUTPUT: 1})
    settlement = await books.charges.settle(charge, Usage({INPUT: 50, OUTPUT: 50}))
    assert settlement.amount == 30
    assert await books.discrepancies() == []


async def test_negative_quantities_are_refused_and_change_nothing(books: Books, user: str, price: Price) -> None:
    with pytest.raises(InvalidInput, match="call"):
        await books.open(user, price, {CALL: -5})
    charge = await books.open(user, price, {CALL: 5})
    with pytest.raises(InvalidInput, match="call"):
        await books.charges.settle(charge, Usage({CALL: -1}))
    await books.charges.release(charge, "Nonsense")
    assert await balances(books, user) == (1000, 0)


@pytest.mark.parametrize("first", ["settle", "release"])
@pytest.mark.parametrize("second", ["settle", "release"])
async def test_a_charge_ends_once(books: Books, user: str, price: Price, first: str, second: str) -> None:
    charge = await books.open(user, price, {CALL: 5})

    async def end(how: str) -> None:
        if how == "settle":
            await books.charges.settle(charge, Usage({CALL: 2}))
        else:
            await books.charges.release(charge, "Not served")

    await end(first)
    after = await balances(books, user)
    with pytest.raises(HoldNotOpen):
        await end(second)
    assert await balances(books, user) == after
    assert await books.discrepancies() == []


async def test_ended_at_once_in_two_ways_it_ends_in_one(books: Books, user: str, price: Price) -> None:
    charge = await books.open(user, price, {CALL: 5})
    endings = [books.charges.settle(charge, Usage({CALL: 2})) for _ in range(3)]
    releases = [books.charges.release(charge, "Not served") for _ in range(3)]
    outcomes = await asyncio.gather(*endings, *releases, return_exceptions=True)
    assert sum(isinstance(outcome, HoldNotOpen) for outcome in outcomes) == 5
    assert await balances(books, user) == (980, 0)
    assert await books.discrepancies() == []


async def test_an_unknown_hold_is_refused(books: Books, user: str, price: Price) -> None:
    strange = Charge("00000000-0000-7000-8000-000000000000", Payer(user), price, 10, "Strange")
    with pytest.raises(HoldNotOpen, match="missing"):
        await books.charges.settle(strange, Usage({CALL: 1}))
    with pytest.raises(HoldNotOpen, match="missing"):
        await books.charges.release(strange, "Strange")


async def test_a_hold_that_nobody_ends_is_released_after_its_time(
    books: Books, user: str, price: Price, clock: ManualClock
) -> None:
    """Its process was killed, and there is another."""
    charge = await books.open(user, price, {CALL: 5})
    clock.advance(LIFE)
    assert await after(books, clock).charges.release_expired() == 0
    clock.advance(1)
    assert await after(books, clock).charges.release_expired() == 1
    assert await after(books, clock).charges.release_expired() == 0
    assert await balances(books, user) == (1000, 0)
    row = await hold(books, charge)
    assert (row.state, row.captured_nanos, row.ended_at) == (HoldState.EXPIRED, 0, clock.now())
    with pytest.raises(HoldNotOpen, match="expired"):
        await books.charges.settle(charge, Usage({CALL: 1}))
    assert await books.discrepancies() == []


async def test_a_hold_past_its_time_that_was_not_released_yet_is_still_charged(
    books: Books, user: str, price: Price, clock: ManualClock
) -> None:
    charge = await books.open(user, price, {CALL: 5})
    clock.advance(LIFE * 2)
    await books.charges.settle(charge, Usage({CALL: 5}))
    assert await books.charges.release_expired() == 0
    assert await balances(books, user) == (950, 0)


async def test_a_running_call_keeps_its_hold(
    books: Books, user: str, price: Price, clock: ManualClock, database_url: str
) -> None:
    elsewhere = Database(database_url)
    there = open_books(elsewhere, clock, books.ids)
    mine, theirs = await books.open(user, price), await there.open(user, price)
    clock.advance(LIFE / 2)
    await books.charges.extend_running()
    clock.advance(LIFE / 2 + 1)
    assert await books.charges.release_expired() == 1
    assert ((await hold(books, mine)).state, (await hold(books, theirs)).state) == ("open", "expired")
    await books.charges.settle(mine, Usage({CALL: 1}))
    await books.charges.extend_running()
    assert (await hold(books, mine)).state == "captured"
    assert await books.discrepancies() == []
    await elsewhere.close()


async def test_a_hold_extended_while_the_expired_are_collected_lives_on(
    books: Books, user: str, price: Price, clock: ManualClock
) -> None:
    """The sweep reads first and releases later; what was extended in between is left alone."""
    charge = await books.open(user, price)
    clock.advance(LIFE + 1)
    sweep = asyncio.create_task(after(books, clock).charges.release_expired())
    extend = asyncio.create_task(books.charges.extend_running())
    released, _ = await asyncio.gather(sweep, extend)
    row = await hold(books, charge)
    assert (released, row.state) in ((0, "open"), (1, "expired"))
    assert await books.discrepancies() == []


async def test_the_decision_to_expire_is_taken_on_the_row_as_it_is(
    books: Books, user: str, price: Price, clock: ManualClock
) -> None:
    charge = await books.open(user, price)
    commits = GroupCommit(books.database, ChargeBatches(clock, books.ids))
    clock.advance(LIFE)
    with pytest.raises(HoldNotOpen, match="extended"):
        await commits.submit(Expire(charge.hold_id))
    assert (await hold(books, charge)).state == "open"
    with pytest.raises(HoldNotOpen, match="missing"):
        await commits.submit(Expire("missing"))


async def test_many_expired_holds_are_released_together(
    books: Books, user: str, price: Price, clock: ManualClock
) -> None:
    await asyncio.gather(*(books.open(user, price) for _ in range(40)))
    clock.advance(LIFE + 1)
    assert await after(books, clock).charges.release_expired() == 40
    assert await balances(books, user) == (1000, 0)
    assert await books.discrepancies() == []


async def test_a_spend_cap_counts_what_is_spent_and_what_is_held(books: Books, user: str, price: Price) -> None:
    payer = Payer(user, "key", 100)
    open_charge = await books.open(user, price, {CALL: 4}, payer=payer)
    await books.charge(user, price, {CALL: 3}, worst={CALL: 6}, payer=payer)
    assert await budget(books, "key") == (100, 30, 40)
    with pytest.raises(SpendCapReached) as caught:
        await books.open(user, price, {CALL: 4}, payer=payer)
    assert caught.value.details == {"cap_nanos": 100, "spent_nanos": 30, "held_nanos": 40}
    assert await balances(books, user) == (930, 40)
    await books.charges.release(open_charge, "Not served")
    assert await budget(books, "key") == (100, 30, 0)
    await books.charge(user, price, {CALL: 7}, payer=payer)
    with pytest.raises(SpendCapReached):
        await books.open(user, price, payer=payer)
    await books.open(user, price, payer=Payer(user, "uncapped key"))
    await books.open(user, price, payer=Payer(user, "other key", 10))
    assert await books.discrepancies() == []


async def test_a_cap_of_nothing_pays_for_nothing(books: Books, user: str, price: Price) -> None:
    with pytest.raises(SpendCapReached):
        await books.open(user, price, payer=Payer(user, "key", 0))
    assert await books.discrepancies() == []


async def test_an_expired_hold_leaves_its_cap(books: Books, user: str, price: Price, clock: ManualClock) -> None:
    await books.open(user, price, {CALL: 10}, payer=Payer(user, "key", 100))
    clock.advance(LIFE + 1)
    await after(books, clock).charges.release_expired()
    assert await budget(books, "key") == (100, 0, 0)
    assert await books.discrepancies() == []


async def test_what_the_wallet_refuses_does_not_count_against_the_cap(books: Books, price: Price) -> None:
    poor = await books.user(10)
    with pytest.raises(InsufficientCredits):
        await books.open(poor, price, {CALL: 2}, payer=Payer(poor, "key", 1000))
    assert await budget(books, "key") == (1000, 0, 0)


async def test_other_writes_belong_to_the_settlement(books: Books, user: str, price: Price, clock: ManualClock) -> None:
    def note(connection: Connection) -> None:
        connection.execute(insert(audit_entries).values(at=clock.now(), action="noted", subject="x", details={}))

    async def notes() -> int:
        async with books.database.reading() as tx:
            return len(await tx.all(select(audit_entries.c.id).where(audit_entries.c.action == "noted")))

    charge = await books.open(user, price)
    await books.charges.settle(charge, Usage({CALL: 1}), also=(note,))
    assert await notes() == 1
    with pytest.raises(HoldNotOpen):
        await books.charges.settle(charge, Usage({CALL: 1}), also=(note,))
    assert await notes() == 1


async def test_a_write_that_fails_undoes_its_own_settlement_alone(books: Books, user: str, price: Price) -> None:
    def fails(connection: Connection) -> None:
        connection.execute(insert(budgets).values(id="x", cap_nanos=-1, spent_nanos=5, held_nanos=0))

    charges = [await books.open(user, price) for _ in range(5)]
    outcomes = await asyncio.gather(
        *(
            books.charges.settle(charge, Usage({CALL: 1}), also=(fails,) if number == 2 else ())
            for number, charge in enumerate(charges)
        ),
        return_exceptions=True,
    )
    assert [isinstance(outcome, Exception) for outcome in outcomes] == [False, False, True, False, False]
    assert await balances(books, user) == (950, 10)
    assert (await hold(books, charges[2])).state == "open"
    assert await books.discrepancies() == []


@pytest.mark.parametrize("turns", range(6))
async def test_a_caller_that_leaves_while_opening_leaves_no_hold(
    books: Books, user: str, price: Price, turns: int
) -> None:
    opening = asyncio.create_task(books.open(user, price, {CALL: 5}, payer=Payer(user, "key", 100)))
    for _ in range(turns):
        await asyncio.sleep(0)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert await balances(books, user) == (1000, 0)
    assert books.charges.running == 0
    assert await books.discrepancies() == []


async def test_a_caller_that_leaves_while_settling_has_paid(books: Books, user: str, price: Price) -> None:
    charge = await books.open(user, price, {CALL: 5})
    settling = asyncio.create_task(books.charges.settle(charge, Usage({CALL: 2})))
    await asyncio.sleep(0)
    settling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await settling
    assert await balances(books, user) == (980, 0)
    assert books.charges.running == 0


async def test_usage_is_listed_newest_first_page_by_page(
    books: Books, user: str, price: Price, clock: ManualClock
) -> None:
    for number in range(1, 6):
        await books.charge(user, price, {CALL: number})
        clock.advance(1)
    pages = [[r.amount for r in await books.billing.usage(user, limit=2, offset=n)] for n in (0, 2, 4, 6)]
    assert pages == [[50, 40], [30, 20], [10], []]


async def test_a_longer_life_for_a_hold(database: Database, clock: ManualClock, books: Books) -> None:
    patient = open_books(database, clock, books.ids, hold_life=timedelta(hours=1))
    user, price = await books.user(100), await books.price(1)
    charge = await patient.open(user, price)
    assert (await hold(books, charge)).expires_at == clock.now() + timedelta(hours=1)


async def test_work_may_begin_while_the_hold_is_written_but_is_told_when_that_fails(
    books: Books, user: str, price: Price
) -> None:
    with no_commits():
        charge = await books.charges.begin(Payer(user), price, {CALL: 3}, "Hasty")
        with pytest.raises(DatabaseUnavailable, match="no space left"):
            await books.charges.secured(charge)
        with pytest.raises(DatabaseUnavailable):
            await books.open(user, price, {CALL: 3})
    assert await balances(books, user) == (1000, 0)
    with pytest.raises(DatabaseUnavailable, match="no space left"):
        await books.charges.settle(charge, Usage({CALL: 1}))
    with pytest.raises(HoldNotOpen):
        await books.charges.release(charge, "Not served")
    assert books.charges.running == 0
    charge = await books.charges.begin(Payer(user), price, {CALL: 3}, "Again")
    await books.charges.secured(charge)
    await books.charges.secured(charge)
    assert await balances(books, user) == (970, 30)
    await books.charges.settle(charge, Usage({CALL: 1}))
    assert await balances(books, user) == (990, 0)
    assert await books.discrepancies() == []
