"""A batch of ledger writes inside one open transaction.

Balances and holds are read once (and locked, where rows can be locked), every command is decided in memory in
its order, and what was accepted is written with one statement a table. So a batch of five hundred charges costs
about as many statements as one. A refused command leaves no trace in the batch.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from cloudyard.domains.ledger import statements
from cloudyard.domains.ledger.balances import Balance, Balances
from cloudyard.domains.ledger.errors import HoldNotOpen, InsufficientCredits, UnbalancedEntry
from cloudyard.domains.ledger.records import REVENUE, Account, Entry, EntryKind, Hold, HoldState, Posted, Statement
from cloudyard.domains.ledger.repetitions import Repetitions
from cloudyard.foundation.ids import Ids

Move = tuple[Balance, int]


class LedgerBatch:
    """Collects decided writes; `flush` writes them. Lives as long as one transaction."""

    def __init__(self, connection: Connection, ids: Ids, now: datetime) -> None:
        self._connection = connection
        self._ids = ids
        self._now = now
        self._balances = Balances(connection, now)
        self._repetitions = Repetitions()
        self._holds: dict[str, Hold] = {}
        self._new_transactions: list[tuple[Any, ...]] = []
        self._new_postings: list[tuple[Any, ...]] = []
        self._new_lines: list[tuple[Any, ...]] = []
        self._new_holds: list[tuple[Any, ...]] = []
        self._ended_holds: list[tuple[Any, ...]] = []

    def load(self, owned: Iterable[Account], hold_ids: Sequence[str] = (), keys: Sequence[str] = ()) -> None:
        """Read and lock what the commands to come will touch, in an order that cannot deadlock: what was read before,
        or made in this batch, stands as it was decided.

        With a user's wallet comes what the user has set aside, and the other way round. Keys are looked up last:
        who posts under the same key holds one of the same accounts, so it is either done or has not begun.
        """
        unknown = [hold_id for hold_id in hold_ids if hold_id not in self._holds]
        if unknown:
            self._holds.update((row[0], _hold(*row)) for row in statements.READ_HOLDS.run(self._connection, unknown))
        self._balances.load(owned, {self._holds[hold_id].user_id for hold_id in hold_ids if hold_id in self._holds})
        if keys:
            self._repetitions.load(self._connection, keys)

    def hold(self, hold_id: str) -> Hold | None:
        """A loaded hold as it stands in this batch."""
        return self._holds.get(hold_id)

    def known_hold(self, hold_id: str) -> Hold:
        """A hold that this batch has just opened or ended."""
        return self._holds[hold_id]

    def wallet_nanos(self, user_id: str) -> int:
        """What a user whose wallet was loaded can spend as it stands in this batch."""
        return self._balances.purse(user_id).wallet.nanos

    def post(self, entry: Entry) -> Posted:
        """Decide one entry.

        Raises `UnbalancedEntry`, `InsufficientCredits`, or `IdempotencyConflict` if its key is taken by an entry that
        says something else; a repetition gives the first transaction.
        """
        repeated = self._repetitions.find(entry)
        if repeated is not None:
            return repeated
        moves = [(self._balances.of(account_id), amount) for account_id, amount in entry.moves().items()]
        if not moves or sum(line.amount for line in entry.lines) != 0:
            raise UnbalancedEntry(f"The lines of {entry.idempotency_key} move nothing, or do not sum to zero.")
        for balance, amount in moves:
            balance.require(amount)
        details = dict(entry.details) if entry.details else None
        key = entry.idempotency_key
        transaction_id = self._record(entry.kind.value, key, entry.description, moves, entry.actor, details)
        if entry.statement is not None:
            self._add_line(transaction_id, entry.kind.value, entry.statement, entry.description)
        return self._repetitions.remember(entry, transaction_id)

    def open_hold(
        self, hold_id: str, user_id: str, amount: int, life: timedelta, description: str, budget_id: str | None = None
    ) -> Hold:
        """Set credit aside. Raises `InsufficientCredits`."""
        purse = self._balances.purse(user_id)
        purse.wallet.require(-amount)
        if amount:
            moves = [(purse.wallet, -amount), (purse.held, amount)]
            self._record("hold", f"hold:{hold_id}", description, moves)
        hold = Hold(hold_id, user_id, amount, self._now + life, budget_id=budget_id)
        self._holds[hold_id] = hold
        self._new_holds.append((hold_id, user_id, amount, 0, "open", budget_id, hold.expires_at, self._now))
        return hold

    def capture(self, hold_id: str, amount: int, description: str) -> Posted | None:
        """Charge `amount` of an open hold to revenue and give the rest back; None if nothing moved at all.

        Raises `HoldNotOpen`, and `InsufficientCredits` if more was used than was held.
        """
        hold = self._open(hold_id)
        if amount > hold.amount:
            raise InsufficientCredits(
                "More was to be charged than the hold sets aside. Charge no more than that.",
                details={"held_nanos": hold.amount, "wanted_nanos": amount},
            )
        purse = self._balances.purse(hold.user_id)
        revenue = self._balances.of(REVENUE.id)
        moves = [(purse.held, -hold.amount), (purse.wallet, hold.amount - amount), (revenue, amount)]
        posted = self._end(hold, HoldState.CAPTURED, amount, EntryKind.USAGE, moves, description)
        if posted is not None and amount:
            self._add_line(posted.id, EntryKind.USAGE.value, Statement(hold.user_id, -amount), description)
        return posted

    def release(self, hold_id: str, description: str, state: HoldState = HoldState.RELEASED) -> Posted | None:
        """Give all of an open hold back. Raises `HoldNotOpen`."""
        hold = self._open(hold_id)
        purse = self._balances.purse(hold.user_id)
        moves = [(purse.held, -hold.amount), (purse.wallet, hold.amount)]
        return self._end(hold, state, 0, EntryKind.RELEASE, moves, description)

    def flush(self) -> None:
        """Write what was decided."""
        for write, rows in (
            (statements.ADD_TRANSACTIONS, self._new_transactions),
            (statements.ADD_POSTINGS, self._new_postings),
            (statements.ADD_LINES, self._new_lines),
            (statements.ADD_HOLDS, self._new_holds),
            (statements.END_HOLDS, self._ended_holds),
        ):
            write.run(self._connection, rows)
        self._balances.flush()

    def _record(
        self,
        kind: str,
        key: str,
        description: str,
        moves: Sequence[Move],
        actor: str | None = None,
        details: dict[str, object] | None = None,
    ) -> str:
        transaction_id = self._ids.new()
        self._new_transactions.append((transaction_id, kind, key, description, actor, details, self._now))
        for balance, amount in moves:
            if amount:
                balance.add(amount)
                self._new_postings.append((transaction_id, balance.id, amount, balance.nanos))
        return transaction_id

    def _add_line(self, transaction_id: str, kind: str, statement: Statement, description: str) -> None:
        purse = self._balances.purse(statement.user_id)
        number = purse.wallet.next_line()
        owned = purse.wallet.nanos + purse.held.nanos
        self._new_lines.append(
            (statement.user_id, number, transaction_id, kind, statement.amount, owned, description, self._now)
        )

    def _open(self, hold_id: str) -> Hold:
        hold = self._holds.get(hold_id)
        if hold is None or hold.state is not HoldState.OPEN:
            state = hold.state.value if hold else "missing"
            raise HoldNotOpen(f"Hold {hold_id} is {state}; it can be neither captured nor released.")
        return hold

    def _end(
        self, hold: Hold, state: HoldState, captured: int, kind: EntryKind, moves: Sequence[Move], description: str
    ) -> Posted | None:
        posted = None
        if hold.amount:
            moves[0][0].require(-hold.amount)
            posted = Posted(self._record(kind.value, f"{kind}:{hold.id}", description, moves))
        self._holds[hold.id] = replace(hold, state=state, captured=captured)
        self._ended_holds.append((captured, state.value, self._now, hold.id))
        return posted


def _hold(
    hold_id: str, user_id: str, amount: int, expires_at: datetime, state: str, captured: int, budget_id: str | None
) -> Hold:
    return Hold(hold_id, user_id, amount, expires_at, HoldState(state), captured, budget_id)
