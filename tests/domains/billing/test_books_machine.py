"""After any sequence of commands the books are as a plain model keeps them, and verify."""

import asyncio
import os
from collections.abc import Awaitable, Iterator
from typing import Any, TypeVar

import pytest
from books_model import BooksModel, Cap, Refusal, User
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy import select

from cloudyard.domains.billing import Charge, Meter, Payer, Usage
from cloudyard.domains.billing.models import budgets
from cloudyard.domains.ledger.models import accounts
from cloudyard.domains.ledger.records import REVENUE
from cloudyard.foundation.database import Database
from cloudyard.foundation.ids import SystemIds
from cloudyard.testing.clock import ManualClock
from cloudyard.testing.factories import HOLD_LIFE, WELCOME_CREDITS, Books, open_books

T = TypeVar("T")

CI = os.environ.get("CI") == "true"
BOUNDS = settings(max_examples=25, stateful_step_count=25, deadline=None, derandomize=CI)
CREDIT = 10_000_000
WELCOME = WELCOME_CREDITS * CREDIT
A_CALL = 7 * CREDIT
LIMITS = {"small": 20 * A_CALL, "large": 200 * A_CALL}

picks = st.integers(0, 1000)
calls = st.integers(0, 60)
amounts = st.integers(-WELCOME, WELCOME).filter(bool)
caps = st.sampled_from([None, *LIMITS])
openings = st.tuples(st.just("open"), picks, calls, caps)
endings = st.tuples(st.just("end"), picks, st.none() | calls, st.none())


class BooksMachine(RuleBasedStateMachine):
    """Users with wallets, charges under way, two API keys with a spend cap each, time that passes."""

    def __init__(self, runner: asyncio.Runner, database: Database) -> None:
        super().__init__()
        self.runner = runner
        self.ids = SystemIds()
        self.clock = ManualClock()
        self.books: Books = open_books(database, self.clock, self.ids)
        self.elsewhere: Books = open_books(database, self.clock, self.ids)  # what runs here is not given back here
        self.price = self.run(self.books.price(A_CALL, sku="machine"))
        self.cap_ids = {name: self.ids.new() for name in LIMITS}
        self.model = BooksModel(HOLD_LIFE.total_seconds(), {name: Cap(limit) for name, limit in LIMITS.items()})
        self.charges: list[Charge] = []
        self.running: set[str] = set()
        self.revenue_before = self.balances([REVENUE.owner]).get(REVENUE.id, 0)
        self.new_user()
        self.welcome(0)

    @rule()
    def new_user(self) -> None:
        self.model.users[self.ids.new()] = User()

    @rule(who=picks)
    def welcome(self, who: int) -> None:
        user = self.user(who)
        self.run(self.books.billing.welcome(user))
        if all(kind != "bonus" for kind, _, _ in self.model.users[user].lines):
            self.model.users[user].change("bonus", WELCOME)

    @rule(who=picks, nanos=amounts, key=st.none() | st.integers(0, 2))
    def adjust(self, who: int, nanos: int, key: int | None) -> None:
        user = self.user(who)
        name = f"{self.cap_ids['small']}:{key}" if key is not None else None
        expected = self.model.adjust(user, nanos, name)
        self.expect(
            [expected], self.books.ledger.adjust(user, nanos, reason="By hand", actor=None, idempotency_key=name)
        )

    @rule(who=picks)
    def repeat_an_adjustment(self, who: int) -> None:
        for key, (user, nanos) in list(self.model.keys.items())[who % 3 :][:1]:
            assert self.model.adjust(user, nanos, key) is None
            again = self.books.ledger.adjust(user, nanos, reason="By hand", actor=None, idempotency_key=key)
            assert self.run(again).repeated

    @rule(command=openings)
    def open(self, command: tuple[str, int, int, str | None]) -> None:
        self.together([command])

    @rule(command=endings)
    def end(self, command: tuple[str, int, int | None, None]) -> None:
        self.together([command])

    @rule(group=st.lists(openings | endings, min_size=2, max_size=12))
    def together(self, group: list[tuple[str, int, Any, str | None]]) -> None:
        """Concurrent commands, which are committed in one group and decided in their order."""
        expected, work = [], []
        for place, (kind, who, count, cap) in enumerate(group):
            if kind == "open":
                expected.append(self.model.open(f"opening {place}", self.user(who), count * A_CALL, cap))
                work.append(self.opening(self.user(who), count, cap))
            elif self.charges:
                charge = self.charges[who % len(self.charges)]
                self.running.discard(charge.hold_id)
                expected.append(self.model.end(charge.hold_id, count * A_CALL if count is not None else None))
                work.append(self.ending(charge, count))
        outcomes = self.expect(expected, *work)
        opened = [name for name in self.model.charges if name.startswith("opening")]
        for name, charge in zip(opened, (o for o in outcomes if isinstance(o, Charge)), strict=True):
            self.model.charges[charge.hold_id] = self.model.charges.pop(name)
            self.charges.append(charge)
            self.running.add(charge.hold_id)

    @rule(seconds=st.sampled_from([1, 200, 400, 601]))
    def time_passes(self, seconds: int) -> None:
        self.clock.advance(seconds)
        self.model.now += seconds

    @rule()
    def collect_expired(self) -> None:
        assert self.run(self.elsewhere.charges.release_expired()) == self.model.expire()

    @rule()
    def extend_running(self) -> None:
        self.run(self.books.charges.extend_running())
        self.model.extend(self.running)

    @rule(who=picks)
    def read_the_statement(self, who: int) -> None:
        user = self.user(who)
        lines, total = self.run(self.books.ledger.history(user, limit=1000))
        model = self.model.users[user]
        assert [(line.kind.value, line.amount, line.balance) for line in reversed(lines)] == model.lines
        assert total == len(model.lines)
        assert sorted(r.amount for r in self.run(self.books.billing.usage(user, limit=1000))) == sorted(model.usage)

    @invariant()
    def wallets_are_as_the_model_has_them(self) -> None:
        balances = self.balances([*self.model.users, REVENUE.owner])
        for user_id, user in self.model.users.items():
            found = (balances.get(f"wallet:{user_id}", 0), balances.get(f"held:{user_id}", 0))
            assert found == (user.wallet, user.held)
            assert min(found) >= 0
        assert balances.get(REVENUE.id, 0) - self.revenue_before == self.model.revenue

    @invariant()
    def caps_are_as_the_model_has_them(self) -> None:
        rows = {row.id: row for row in self.rows(select(budgets).where(budgets.c.id.in_(self.cap_ids.values())))}
        for name, cap in self.model.caps.items():
            row = rows.get(self.cap_ids[name])
            found = (row.cap_nanos, row.spent_nanos, row.held_nanos) if row else (cap.limit, 0, 0)
            assert found == (cap.limit, cap.spent, cap.held)
        assert self.books.charges.running == len(self.running)

    @invariant()
    def the_books_verify(self) -> None:
        assert self.run(self.books.discrepancies()) == []

    def teardown(self) -> None:
        for who in range(len(self.model.users)):
            self.read_the_statement(who)
        for charge in self.charges:
            if self.model.end(charge.hold_id, None) is None:
                self.run(self.books.charges.release(charge, "The example ended"))
        self.the_books_verify()

    def user(self, who: int) -> str:
        return list(self.model.users)[who % len(self.model.users)]

    def opening(self, user: str, count: int, cap: str | None) -> Awaitable[Charge]:
        payer = Payer(user, self.cap_ids[cap], LIMITS[cap]) if cap else Payer(user)
        return self.books.charges.open(payer, self.price, {Meter.CALL: count}, "Machine")

    def ending(self, charge: Charge, count: int | None) -> Awaitable[object]:
        if count is None:
            return self.books.charges.release(charge, "Not served")
        return self.books.charges.settle(charge, Usage({Meter.CALL: count}))

    def expect(self, expected: list[Refusal | None], *work: Awaitable[object]) -> list[object]:
        """Do everything at once: each ends as the model says."""

        async def together() -> list[object]:
            return await asyncio.gather(*work, return_exceptions=True)

        outcomes = self.run(together())
        assert [type(o) if isinstance(o, Exception) else None for o in outcomes] == expected
        return outcomes

    def balances(self, owners: list[str]) -> dict[str, int]:
        query = select(accounts.c.id, accounts.c.balance_nanos).where(accounts.c.owner.in_(owners))
        return {row.id: row.balance_nanos for row in self.rows(query)}

    def rows(self, query: Any) -> list[Any]:
        async def read() -> list[Any]:
            async with self.books.database.reading() as tx:
                return await tx.all(query)

        return self.run(read())

    def run(self, work: Any) -> Any:
        return self.runner.run(work)


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


def test_any_sequence_of_commands(runner: asyncio.Runner, database_url: str) -> None:
    database = Database(database_url)
    try:
        run_state_machine_as_test(lambda: BooksMachine(runner, database), settings=BOUNDS)
    finally:
        runner.run(database.close())
