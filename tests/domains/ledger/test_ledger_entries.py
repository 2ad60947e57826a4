"""Entries by hand: adjustments, grants, and what a batch refuses."""

import asyncio

import pytest
from sqlalchemy import func, select

from cloudyard.domains.audit import AuditLog
from cloudyard.domains.ledger import (
    Account,
    AccountKind,
    AmountOutOfRange,
    Entry,
    EntryKind,
    IdempotencyConflict,
    InsufficientCredits,
    LedgerBatch,
    Line,
    Posted,
    Statement,
    UnbalancedEntry,
    wallet_of,
)
from cloudyard.domains.ledger.balances import LARGEST_NANOS
from cloudyard.domains.ledger.models import accounts, transactions
from cloudyard.domains.ledger.records import MANUAL, PROMOTIONS
from cloudyard.domains.ledger.service import LARGEST_ADJUSTMENT, LONGEST_KEY
from cloudyard.foundation.database import Database
from cloudyard.foundation.errors import InvalidInput
from cloudyard.testing.clock import ManualClock
from cloudyard.testing.factories import Books, open_books


async def balance(books: Books, account: Account) -> int:
    async with books.database.reading() as tx:
        return int(await tx.scalar(select(accounts.c.balance_nanos).where(accounts.c.id == account.id)) or 0)


async def test_who_never_had_credit_has_none(books: Books, clock: ManualClock) -> None:
    wallet = await books.wallet("nobody")
    assert (wallet.available, wallet.held, wallet.earnings, wallet.updated_at) == (0, 0, 0, clock.now())
    assert await books.ledger.history("nobody", limit=10) == ([], 0)


async def test_an_adjustment_moves_credit_and_is_on_record(books: Books, clock: ManualClock) -> None:
    posted = await books.ledger.adjust("ada", 500, reason="  A refund \n", actor="root")
    wallet = await books.wallet("ada")
    assert (wallet.available, wallet.updated_at) == (500, clock.now())
    assert await balance(books, MANUAL) == -500
    ((line,), total) = await books.ledger.history("ada", limit=10)
    assert (line.id, line.kind, line.amount, line.balance, line.description, total) == (
        posted.id,
        EntryKind.ADJUSTMENT,
        500,
        500,
        "A refund",
        1,
    )
    (entry,) = await AuditLog(books.database, clock).list()
    assert (entry.actor, entry.action, entry.subject) == ("root", "ledger.adjusted", "user:ada")
    assert entry.details == {"nanos": 500, "reason": "A refund", "transaction_id": posted.id}
    assert await books.discrepancies() == []


async def test_a_bonus_comes_out_of_promotions(books: Books) -> None:
    await books.ledger.adjust("ada", 500, reason="Thanks", actor=None, bonus=True)
    assert (await balance(books, PROMOTIONS), await balance(books, MANUAL)) == (-500, 0)
    ((line,), _) = await books.ledger.history("ada", limit=1)
    assert line.kind is EntryKind.BONUS


async def test_a_wallet_never_goes_below_zero(books: Books) -> None:
    user = await books.user(100)
    with pytest.raises(InsufficientCredits) as caught:
        await books.ledger.adjust(user, -101, reason="Too much", actor=None)
    assert caught.value.details == {"available_nanos": 100, "needed_nanos": 101}
    await books.ledger.adjust(user, -100, reason="All of it", actor=None)
    assert (await books.wallet(user)).available == 0
    assert await books.discrepancies() == []


async def test_what_is_held_cannot_be_taken_but_counts_as_owned(books: Books) -> None:
    user = await books.user(100)
    await books.open(user, await books.price(80))
    with pytest.raises(InsufficientCredits):
        await books.ledger.adjust(user, -21, reason="Held", actor=None)
    await books.ledger.adjust(user, 5, reason="More", actor=None)
    ((line, _), _) = await books.ledger.history(user, limit=2)
    assert line.balance == 105
    assert await books.discrepancies() == []


@pytest.mark.parametrize(
    ("nanos", "reason", "field"),
    [
        (0, "Nothing", "amount"),
        (LARGEST_ADJUSTMENT + 1, "A slip", "amount"),
        (-LARGEST_ADJUSTMENT - 1, "A slip", "amount"),
        (5, "", "reason"),
        (5, " \t ", "reason"),
        (5, "x" * 501, "reason"),
        (5, "nul \x00 byte", "reason"),
        (5, "half a \ud83d surrogate", "reason"),
    ],
)
async def test_an_adjustment_that_makes_no_sense_is_refused(books: Books, nanos: int, reason: str, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        await books.ledger.adjust("ada", nanos, reason=reason, actor=None)
    assert caught.value.field == field
    assert (await books.wallet("ada")).available == 0


async def test_the_same_key_works_once(books: Books, clock: ManualClock) -> None:
    key = "k" * LONGEST_KEY
    first = await books.ledger.adjust("ada", 500, reason="One", actor="root", idempotency_key=key)
    again = await books.ledger.adjust("ada", 500, reason="One", actor="root", idempotency_key=key)
    assert again == Posted(first.id, repeated=True)
    assert (await books.wallet("ada")).available == 500
    assert len(await AuditLog(books.database, clock).list()) == 1
    with pytest.raises(InvalidInput):
        await books.ledger.adjust("ada", 500, reason="One", actor="root", idempotency_key=key + "k")


@pytest.mark.parametrize(
    "other",
    [{"nanos": 501}, {"nanos": -1}, {"user_id": "bob"}, {"bonus": True}],
    ids=["amount", "direction", "user", "source"],
)
async def test_the_same_key_for_something_else_is_refused(books: Books, other: dict[str, object]) -> None:
    asked: dict[str, object] = {"user_id": "ada", "nanos": 500, "reason": "One", "actor": None}
    await books.ledger.adjust(**asked, idempotency_key="key")  # type: ignore[arg-type]
    with pytest.raises(IdempotencyConflict):
        await books.ledger.adjust(**{**asked, **other}, idempotency_key="key")  # type: ignore[arg-type]
    assert ((await books.wallet("ada")).available, (await books.wallet("bob")).available) == (500, 0)
    assert await books.discrepancies() == []


async def test_one_key_in_two_processes_at_once_works_once(books: Books, database_url: str, clock: ManualClock) -> None:
    elsewhere = Database(database_url)
    there = open_books(elsewhere, clock, books.ids)
    for round_number in range(5):
        adjustments = [
            each.ledger.adjust("ada", 7, reason="Once", actor=None, idempotency_key=f"key {round_number}")
            for each in (books, there) * 4
        ]
        posted = await asyncio.gather(*adjustments)
        assert len({one.id for one in posted}) == 1
        assert sum(not one.repeated for one in posted) == 1
    assert (await books.wallet("ada")).available == 35
    assert await books.discrepancies() == []
    await elsewhere.close()


async def test_a_grant_works_once(books: Books) -> None:
    posted = await asyncio.gather(
        *(books.ledger.grant_once("ada", 30, key="welcome:ada", reason="Welcome") for _ in range(10))
    )
    assert sum(not one.repeated for one in posted) == 1
    assert (await books.wallet("ada")).available == 30


async def test_history_pages_are_newest_first_and_end(books: Books, clock: ManualClock) -> None:
    for number in range(1, 8):
        await books.ledger.adjust("ada", number, reason=f"Number {number}", actor=None)
        clock.advance(1)
    await books.ledger.adjust("bob", 99, reason="Another's", actor=None)

    async def page(limit: int, offset: int) -> list[int]:
        entries, total = await books.ledger.history("ada", limit=limit, offset=offset)
        assert total == 7
        return [entry.amount for entry in entries]

    assert [await page(3, 0), await page(3, 3), await page(3, 6), await page(3, 9)] == [[7, 6, 5], [4, 3, 2], [1], []]
    assert await page(0, 0) == []
    entries, _ = await books.ledger.history("ada", limit=7)
    assert [entry.balance for entry in entries] == [28, 21, 15, 10, 6, 3, 1]


async def post(books: Books, *entries: Entry, clock: ManualClock) -> list[Posted | Exception]:
    """Post entries in one batch, as a new domain would."""

    async with books.database.transaction() as tx:

        def work(connection: object) -> list[Posted | Exception]:
            batch = LedgerBatch(connection, books.ids, clock.now())  # type: ignore[arg-type]
            batch.load(
                [line.account for entry in entries for line in entry.lines], keys=[e.idempotency_key for e in entries]
            )
            outcomes: list[Posted | Exception] = []
            for entry in entries:
                try:
                    outcomes.append(batch.post(entry))
                except (UnbalancedEntry, InsufficientCredits, IdempotencyConflict, AmountOutOfRange) as error:
                    outcomes.append(error)
            batch.flush()
            return outcomes

        return await tx.run_sync(work)


def purchase(key: str, nanos: int, *more: Line) -> Entry:
    stripe = Account(AccountKind.CLEARING, "stripe")
    lines = (Line(stripe, -nanos), Line(wallet_of("ada"), nanos), *more)
    return Entry(EntryKind.PURCHASE, key, lines, "Bought", Statement("ada", nanos))


async def test_a_batch_decides_in_order_and_keeps_what_it_accepts(books: Books, clock: ManualClock) -> None:
    outcomes = await post(
        books,
        purchase("one", 100),
        purchase("unbalanced", 5, Line(PROMOTIONS, 1)),
        purchase("nothing", 0),
        purchase("one", 100),
        purchase("one", 99),
        purchase("too much", -101),
        purchase("back", -60),
        purchase("too much now", -60),
        purchase("out of range", LARGEST_NANOS),
        clock=clock,
    )
    kinds = [type(outcome) for outcome in outcomes]
    assert kinds == [
        Posted,
        UnbalancedEntry,
        UnbalancedEntry,
        Posted,
        IdempotencyConflict,
        InsufficientCredits,
        Posted,
        InsufficientCredits,
        AmountOutOfRange,
    ]
    first, repeated = outcomes[0], outcomes[3]
    assert isinstance(first, Posted) and repeated == Posted(first.id, repeated=True)
    assert (await books.wallet("ada")).available == 40
    assert await books.discrepancies() == []


async def test_lines_on_one_account_are_judged_together(books: Books, clock: ManualClock) -> None:
    """Each of two lines may be affordable where both are not."""
    await post(books, purchase("credit", 100), clock=clock)
    wallet, stripe = wallet_of("ada"), Account(AccountKind.CLEARING, "stripe")
    lines = (Line(wallet, -60), Line(wallet, -60), Line(stripe, 120))
    (outcome,) = await post(books, Entry(EntryKind.REFUND, "twice", lines, "Back"), clock=clock)
    assert isinstance(outcome, InsufficientCredits)
    async with books.database.reading() as tx:
        assert await tx.scalar(select(func.count()).select_from(transactions)) == 1
    assert await books.discrepancies() == []


async def test_the_database_itself_refuses_a_wallet_below_zero(books: Books) -> None:
    user = await books.user(10)
    with pytest.raises(Exception, match=r"(?i)never_below_zero"):
        async with books.database.transaction() as tx:
            await tx.execute(accounts.update().where(accounts.c.id == f"wallet:{user}").values(balance_nanos=-1))
    assert (await books.wallet(user)).available == 10
