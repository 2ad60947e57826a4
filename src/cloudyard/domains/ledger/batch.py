"""A batch of ledger writes inside one open transaction.

Balances and holds are read once (and locked, where rows can be locked), every command is decided in memory in
its order, and what was accepted is written with one statement a table. So a batch of five hundred charges costs
about as many statements as one. A refused command leaves no trace in the batch.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from cloudyard.domains.ledger.errors import HoldNotOpen, IdempotencyConflict, InsufficientCredits, UnbalancedEntry
from cloudyard.domains.ledger.models import accounts, holds, postings, statement_lines, transactions
from cloudyard.domains.ledger.records import (
    NEVER_NEGATIVE,
    REVENUE,
    Account,
    Entry,
    EntryKind,
    Hold,
    HoldState,
    Line,
    Posted,
    Statement,
    held_of,
    wallet_of,
)
from cloudyard.foundation.database.upsert import insert_or_ignore
from cloudyard.foundation.ids import Ids


@dataclass(slots=True)
class _Balance:
    account: Account
    nanos: int
    statement_lines: int
    changed: bool = False


class LedgerBatch:
    """Collects decided writes; `flush` writes them. Lives as long as one transaction."""

    def __init__(self, connection: Connection, ids: Ids, now: datetime) -> None:
        self._connection = connection
        self._ids = ids
        self._now = now
        self._balances: dict[str, _Balance] = {}
        self._holds: dict[str, Hold] = {}
        self._posted: dict[str, tuple[str, EntryKind]] = {}
        self._new_transactions: list[dict[str, Any]] = []
        self._new_postings: list[dict[str, Any]] = []
        self._new_lines: list[dict[str, Any]] = []
        self._new_holds: list[dict[str, Any]] = []
        self._ended_holds: list[dict[str, Any]] = []

    def load(self, owned: Iterable[Account], hold_ids: Sequence[str] = (), keys: Sequence[str] = ()) -> None:
        """Read and lock what the commands to come will touch, in an order that cannot deadlock."""
        wanted = {account.id: account for account in owned}
        if hold_ids:
            query = select(holds).where(holds.c.id.in_(sorted(hold_ids))).order_by(holds.c.id).with_for_update()
            for row in self._connection.execute(query):
                self._holds[row.id] = _hold(row)
        if keys:
            found = select(transactions.c.idempotency_key, transactions.c.id, transactions.c.kind)
            for row in self._connection.execute(found.where(transactions.c.idempotency_key.in_(list(keys)))):
                self._posted[row.idempotency_key] = (row.id, EntryKind(row.kind))
        for hold in self._holds.values():
            for account in (wallet_of(hold.user_id), held_of(hold.user_id)):
                wanted[account.id] = account
        self._load_balances(wanted)

    def hold(self, hold_id: str) -> Hold | None:
        """A loaded hold as it stands in this batch."""
        return self._holds.get(hold_id)

    def post(self, entry: Entry) -> Posted:
        """Decide one entry.

        Raises `UnbalancedEntry`, `InsufficientCredits`, or `IdempotencyConflict` if its key is taken by an entry of
        another kind; a repetition gives the first transaction.
        """
        known = self._posted.get(entry.idempotency_key)
        if known is not None:
            return _repetition(entry, *known)
        self._check(entry)
        transaction_id = self._ids.new()
        self._posted[entry.idempotency_key] = (transaction_id, entry.kind)
        self._new_transactions.append(
            {
                "id": transaction_id,
                "kind": entry.kind.value,
                "idempotency_key": entry.idempotency_key,
                "description": entry.description,
                "actor": entry.actor,
                "details": dict(entry.details) if entry.details else None,
                "created_at": self._now,
            }
        )
        for line in entry.lines:
            self._move(transaction_id, line)
        if entry.statement is not None:
            self._add_statement_line(transaction_id, entry, entry.statement)
        return Posted(transaction_id)

    def open_hold(
        self, hold_id: str, user_id: str, amount: int, life: timedelta, description: str, budget_id: str | None = None
    ) -> Hold:
        """Set credit aside. Raises `InsufficientCredits`."""
        if amount:
            self.post(
                Entry(
                    EntryKind.HOLD,
                    f"hold:{hold_id}",
                    (Line(wallet_of(user_id), -amount), Line(held_of(user_id), amount)),
                    description,
                )
            )
        hold = Hold(hold_id, user_id, amount, self._now + life, budget_id=budget_id)
        self._holds[hold_id] = hold
        self._new_holds.append(
            {
                "id": hold_id,
                "user_id": user_id,
                "amount_nanos": amount,
                "captured_nanos": 0,
                "state": HoldState.OPEN.value,
                "budget_id": budget_id,
                "expires_at": hold.expires_at,
                "created_at": self._now,
            }
        )
        return hold

    def capture(self, hold_id: str, amount: int, description: str) -> Posted | None:
        """Charge `amount` of an open hold to revenue and give the rest back; None if nothing moved at all.

        Raises `HoldNotOpen`, and `InsufficientCredits` if more was used than was held.
        """
        hold = self._open(hold_id)
        if amount > hold.amount:
            raise InsufficientCredits(
                f"The hold sets {hold.amount} nano-dollars aside, {amount} were to be charged.",
                details={"held_nanos": hold.amount, "wanted_nanos": amount},
            )
        rest = hold.amount - amount
        lines = (Line(held_of(hold.user_id), -hold.amount), Line(wallet_of(hold.user_id), rest), Line(REVENUE, amount))
        return self._end(hold, HoldState.CAPTURED, amount, EntryKind.USAGE, lines, description)

    def release(self, hold_id: str, description: str, state: HoldState = HoldState.RELEASED) -> Posted | None:
        """Give all of an open hold back. Raises `HoldNotOpen`."""
        hold = self._open(hold_id)
        lines = (Line(held_of(hold.user_id), -hold.amount), Line(wallet_of(hold.user_id), hold.amount))
        return self._end(hold, state, 0, EntryKind.RELEASE, lines, description)

    def flush(self) -> None:
        """Write what was decided."""
        run = self._connection.execute
        if self._new_transactions:
            run(insert(transactions), self._new_transactions)
            run(insert(postings), self._new_postings)
        if self._new_lines:
            run(insert(statement_lines), self._new_lines)
        if self._new_holds:
            run(insert(holds), self._new_holds)
        if self._ended_holds:
            run(_END_HOLD, self._ended_holds)
        changed = [balance for balance in self._balances.values() if balance.changed]
        if changed:
            run(_SET_BALANCE, [self._balance_row(balance) for balance in changed])

    def _balance_row(self, balance: _Balance) -> dict[str, Any]:
        return {
            "key": balance.account.id,
            "nanos": balance.nanos,
            "lines": balance.statement_lines,
            "now": self._now,
        }

    def _load_balances(self, wanted: dict[str, Account]) -> None:
        missing = set(wanted)
        query = (
            select(accounts.c.id, accounts.c.balance_nanos, accounts.c.statement_lines)
            .where(accounts.c.id.in_(sorted(wanted)))
            .order_by(accounts.c.id)
            .with_for_update()
        )
        for row in self._connection.execute(query):
            self._balances[row.id] = _Balance(wanted[row.id], row.balance_nanos, row.statement_lines)
            missing.discard(row.id)
        if missing:
            self._create([wanted[key] for key in sorted(missing)])
            self._load_balances({key: wanted[key] for key in missing})

    def _create(self, new: Sequence[Account]) -> None:
        rows = [
            {
                "id": account.id,
                "kind": account.kind.value,
                "owner": account.owner,
                "balance_nanos": 0,
                "statement_lines": 0,
                "updated_at": self._now,
            }
            for account in new
        ]
        self._connection.execute(insert_or_ignore(self._connection.dialect.name, accounts), rows)

    def _check(self, entry: Entry) -> None:
        if sum(line.amount for line in entry.lines) != 0:
            raise UnbalancedEntry(f"The lines of {entry.idempotency_key} do not sum to zero.")
        for line in entry.lines:
            if line.account.kind in NEVER_NEGATIVE and self._balances[line.account.id].nanos + line.amount < 0:
                available = self._balances[line.account.id].nanos
                raise InsufficientCredits(
                    "Not enough credits for this. Add credits, or ask for less.",
                    details={"available_nanos": available, "needed_nanos": -line.amount},
                )

    def _move(self, transaction_id: str, line: Line) -> None:
        if line.amount == 0:
            return
        balance = self._balances[line.account.id]
        balance.nanos += line.amount
        balance.changed = True
        self._new_postings.append(
            {
                "transaction_id": transaction_id,
                "account_id": line.account.id,
                "amount_nanos": line.amount,
                "balance_nanos": balance.nanos,
            }
        )

    def _add_statement_line(self, transaction_id: str, entry: Entry, statement: Statement) -> None:
        wallet = self._balances[wallet_of(statement.user_id).id]
        held = self._balances.get(held_of(statement.user_id).id)
        wallet.statement_lines += 1
        wallet.changed = True
        self._new_lines.append(
            {
                "user_id": statement.user_id,
                "number": wallet.statement_lines,
                "transaction_id": transaction_id,
                "kind": entry.kind.value,
                "amount_nanos": statement.amount,
                "balance_nanos": wallet.nanos + (held.nanos if held else 0),
                "description": entry.description,
                "created_at": self._now,
            }
        )

    def _open(self, hold_id: str) -> Hold:
        hold = self._holds.get(hold_id)
        if hold is None or hold.state is not HoldState.OPEN:
            state = hold.state.value if hold else "missing"
            raise HoldNotOpen(f"Hold {hold_id} is {state}; it can be neither captured nor released.")
        return hold

    def _end(
        self,
        hold: Hold,
        state: HoldState,
        captured: int,
        kind: EntryKind,
        lines: tuple[Line, ...],
        description: str,
    ) -> Posted | None:
        posted = None
        if hold.amount:
            statement = Statement(hold.user_id, -captured) if captured else None
            posted = self.post(Entry(kind, f"{kind.value}:{hold.id}", lines, description, statement))
        self._holds[hold.id] = replace(hold, state=state, captured=captured)
        self._ended_holds.append({"key": hold.id, "state": state.value, "captured": captured, "now": self._now})
        return posted


_SET_BALANCE = (
    update(accounts)
    .where(accounts.c.id == bindparam("key"))
    .values(balance_nanos=bindparam("nanos"), statement_lines=bindparam("lines"), updated_at=bindparam("now"))
)

_END_HOLD = (
    update(holds)
    .where(holds.c.id == bindparam("key"))
    .values(state=bindparam("state"), captured_nanos=bindparam("captured"), ended_at=bindparam("now"))
)


def _hold(row: Any) -> Hold:
    return Hold(
        row.id,
        row.user_id,
        row.amount_nanos,
        row.expires_at,
        HoldState(row.state),
        row.captured_nanos,
        row.budget_id,
    )


def _repetition(entry: Entry, transaction_id: str, kind: EntryKind) -> Posted:
    if kind is not entry.kind:
        raise IdempotencyConflict(f"The key {entry.idempotency_key} belongs to another transaction. Use a new one.")
    return Posted(transaction_id, repeated=True)
