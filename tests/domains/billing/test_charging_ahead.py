"""Work that begins before the decision about its hold is known: only alone, only with plenty, and never for nothing."""

import asyncio

import pytest

from cloudyard.domains.billing import Charge, Meter, Payer, Price, Usage
from cloudyard.domains.billing.charges import ALONE_SECONDS
from cloudyard.domains.billing.known_funds import MANY_TIMES, MOST_PAYERS, KnownFunds
from cloudyard.domains.ledger import InsufficientCredits
from cloudyard.foundation.database import DatabaseUnavailable, GroupCommit
from cloudyard.testing.clock import ManualClock
from cloudyard.testing.factories import Books, open_books
from cloudyard.testing.failing_commits import no_commits

USED = Usage({Meter.CALL: 1})
PRICE = 10
PLENTY = 1000


class Begun:
    """Which calls waited for the decision about their hold, and which went ahead."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ways: list[str] = []
        waiting, ahead = GroupCommit.begin, GroupCommit.ahead

        async def begin(commits: GroupCommit[object, object], command: object) -> object:
            self.ways.append("waited")
            return await waiting(commits, command)

        def go_ahead(commits: GroupCommit[object, object], command: object) -> object:
            self.ways.append("ahead")
            return ahead(commits, command)

        monkeypatch.setattr(GroupCommit, "begin", begin)
        monkeypatch.setattr(GroupCommit, "ahead", go_ahead)


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> Begun:
    return Begun(monkeypatch)


@pytest.fixture
async def user(books: Books) -> str:
    return await books.user(PLENTY)


@pytest.fixture
async def price(books: Books) -> Price:
    return await books.price(PRICE)


async def begin(books: Books, user: str, price: Price, *, calls: int = 1) -> Charge:
    return await books.charges.begin(Payer(user), price, {Meter.CALL: calls}, "A call")


async def balances(books: Books, user: str) -> tuple[int, int]:
    wallet = await books.wallet(user)
    return wallet.available, wallet.held


async def drain(books: Books, clock: ManualClock, user: str) -> None:
    """Another process spends everything."""
    other = open_books(books.database, clock, books.ids)
    left = (await other.wallet(user)).available
    await other.charge(user, await other.price(left))


@pytest.fixture
async def refused(books: Books, user: str, price: Price, begun: Begun, clock: ManualClock) -> Charge:
    """A call that went ahead after another process had spent everything."""
    await books.charge(user, price)
    await drain(books, clock, user)
    charge = await begin(books, user, price)
    assert begun.ways[-1] == "ahead"
    return charge


async def waits_in_vain(books: Books, user: str, price: Price, begun: Begun) -> None:
    """Nothing is left of the refused call, and the next one waits for its own refusal."""
    assert books.charges.running == 0
    with pytest.raises(InsufficientCredits):
        await begin(books, user, price)
    assert begun.ways[-1] == "waited"
    assert await balances(books, user) == (0, 0)
    assert await books.discrepancies() == []


async def test_a_call_goes_ahead_once_it_is_known_to_be_paid_for(
    books: Books, user: str, price: Price, begun: Begun
) -> None:
    for _ in range(3):
        await books.charges.settle(await begin(books, user, price), USED)
    assert begun.ways == ["waited", "ahead", "ahead"]
    assert await balances(books, user) == (PLENTY - 3 * PRICE, 0)
    assert await books.discrepancies() == []


async def test_what_went_ahead_is_secured_on_demand(books: Books, user: str, price: Price, begun: Begun) -> None:
    await books.charge(user, price)
    charge = await begin(books, user, price)
    await books.charges.secured(charge)
    assert begun.ways[-1] == "ahead"
    assert await balances(books, user) == (PLENTY - 2 * PRICE, PRICE)
    await books.charges.release(charge, "Not served")
    assert await balances(books, user) == (PLENTY - PRICE, 0)


async def test_a_call_that_is_not_paid_for_many_times_waits(
    books: Books, user: str, price: Price, begun: Begun
) -> None:
    await books.charge(user, price)
    left = PLENTY // PRICE - 1
    most = left // MANY_TIMES
    for calls in (most + 1, most):
        charge = await begin(books, user, price, calls=calls)
        await books.charges.release(charge, "Not served")
    assert begun.ways[1:] == ["waited", "ahead"]


async def test_a_call_on_a_key_with_a_cap_waits(books: Books, user: str, price: Price, begun: Begun) -> None:
    for _ in range(2):
        await books.charge(user, price, payer=Payer(user, "key", PLENTY))
    assert begun.ways == ["waited", "waited"]


async def test_calls_of_a_crowd_wait_and_so_does_the_next(
    books: Books, user: str, price: Price, begun: Begun, clock: ManualClock
) -> None:
    await books.charge(user, price)
    charges = [await begin(books, user, price) for _ in range(3)]
    await asyncio.gather(*(books.charges.settle(charge, USED) for charge in charges))
    await books.charge(user, price)
    assert begun.ways == ["waited", "ahead", "waited", "waited", "waited"]
    clock.advance(ALONE_SECONDS)
    await books.charge(user, price)
    assert begun.ways[5:] == ["ahead"]


async def test_nothing_is_charged_or_kept_where_another_process_spent_everything(
    books: Books, user: str, price: Price, begun: Begun, refused: Charge
) -> None:
    with pytest.raises(InsufficientCredits):
        await books.charges.settle(refused, USED)
    await waits_in_vain(books, user, price, begun)


async def test_what_is_not_paid_for_is_not_secured_and_given_back_without_ado(
    books: Books, user: str, price: Price, begun: Begun, refused: Charge
) -> None:
    with pytest.raises(InsufficientCredits):
        await books.charges.secured(refused)
    await books.charges.release(refused, "Not served")
    await waits_in_vain(books, user, price, begun)


async def test_calls_wait_again_once_the_database_could_not_be_written(
    books: Books, user: str, price: Price, begun: Begun
) -> None:
    await books.charge(user, price)
    with no_commits():
        charge = await begin(books, user, price)
        with pytest.raises(DatabaseUnavailable):
            await books.charges.settle(charge, USED)
        with pytest.raises(DatabaseUnavailable):
            await books.charge(user, price)
    assert begun.ways == ["waited", "ahead", "waited"]
    assert await balances(books, user) == (PLENTY - PRICE, 0)


async def test_a_call_that_ends_before_its_refusal_is_known_is_given_back_without_ado(
    books: Books, user: str, price: Price, begun: Begun, refused: Charge
) -> None:
    await books.charges.release(refused, "Not served")
    await waits_in_vain(books, user, price, begun)


def test_what_is_covered_counts_as_spent() -> None:
    funds = KnownFunds()
    assert not funds.cover("ada", 0)
    funds.learn("ada", 10 * MANY_TIMES)
    assert [funds.cover("ada", 10) for _ in range(2)] == [True, False]
    funds.learn("ada", 11 * MANY_TIMES)
    assert funds.cover("ada", 10)
    funds.forget("ada")
    assert not funds.cover("ada", 0)


def test_those_who_paid_last_are_remembered() -> None:
    funds = KnownFunds()
    for number in range(MOST_PAYERS):
        funds.learn(str(number), 1)
    funds.learn("0", 1)
    funds.learn("one more", 1)
    assert [funds.cover(name, 0) for name in ("0", "1", "2", "one more")] == [True, False, True, True]
