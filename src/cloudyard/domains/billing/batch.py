"""A group of charge commands, applied in one transaction: holds, captures, releases, spend caps, usage records."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from cloudyard.domains.billing.errors import SpendCapReached
from cloudyard.domains.billing.models import budgets, usage_records
from cloudyard.domains.billing.prices import Meter, Price
from cloudyard.domains.billing.records import Settlement
from cloudyard.domains.ledger import Hold, HoldState, LedgerBatch, held_of, wallet_of
from cloudyard.domains.ledger.records import REVENUE
from cloudyard.foundation.clock import Clock
from cloudyard.foundation.database.upsert import insert_or_ignore
from cloudyard.foundation.errors import DomainError
from cloudyard.foundation.ids import Ids

Write = Callable[[Connection], None]


@dataclass(frozen=True, slots=True)
class OpenHold:
    """Set the worst case aside. `cap_nanos` is the spend cap of the API key `budget_id`."""

    hold_id: str
    user_id: str
    amount: int
    life: timedelta
    description: str
    budget_id: str | None = None
    cap_nanos: int | None = None


@dataclass(frozen=True, slots=True)
class Settle:
    """Charge what was used and give the rest back. `also` is written in the same transaction."""

    hold_id: str
    user_id: str
    api_key_id: str | None
    price: Price
    quantities: Mapping[Meter, int]
    outcome: str
    description: str
    details: Mapping[str, object]
    also: tuple[Write, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Release:
    """Give everything back; nothing was used."""

    hold_id: str
    description: str
    state: HoldState = HoldState.RELEASED


Command = OpenHold | Settle | Release
Outcome = Hold | Settlement | None


@dataclass(slots=True)
class _Budget:
    cap: int
    spent: int
    held: int
    changed: bool = False


class ChargeBatch:
    """Applies groups of commands; `GroupCommit` calls it."""

    def __init__(self, clock: Clock, ids: Ids) -> None:
        self._clock = clock
        self._ids = ids

    def __call__(self, connection: Connection, commands: Sequence[Command]) -> Sequence[Outcome | DomainError]:
        """Decide every command in its order, then write everything."""
        return _Group(connection, self._ids, self._clock.now()).apply(commands)


class _Group:
    def __init__(self, connection: Connection, ids: Ids, now: datetime) -> None:
        self._connection = connection
        self._ids = ids
        self._now = now
        self._ledger = LedgerBatch(connection, ids, now)
        self._budgets: dict[str, _Budget] = {}
        self._usage: list[dict[str, Any]] = []
        self._also: list[Write] = []

    def apply(self, commands: Sequence[Command]) -> list[Outcome | DomainError]:
        self._load(commands)
        outcomes = [self._decide(command) for command in commands]
        self._ledger.flush()
        if self._usage:
            self._connection.execute(insert(usage_records), self._usage)
        self._write_budgets()
        for write in self._also:
            write(self._connection)
        return outcomes

    def _decide(self, command: Command) -> Outcome | DomainError:
        try:
            if isinstance(command, OpenHold):
                return self._open(command)
            if isinstance(command, Settle):
                return self._settle(command)
            self._release(command)
        except DomainError as refusal:
            return refusal
        return None

    def _load(self, commands: Sequence[Command]) -> None:
        owned = {REVENUE}
        ending = []
        for command in commands:
            if isinstance(command, OpenHold):
                owned |= {wallet_of(command.user_id), held_of(command.user_id)}
            else:
                ending.append(command.hold_id)
        self._ledger.load(owned, hold_ids=ending)
        caps = {c.budget_id: c.cap_nanos for c in commands if isinstance(c, OpenHold) and c.cap_nanos is not None}
        held = {hold.budget_id for hold_id in ending if (hold := self._ledger.hold(hold_id)) and hold.budget_id}
        self._load_budgets({key: cap for key, cap in caps.items() if key}, held)

    def _load_budgets(self, caps: Mapping[str, int], held: set[str]) -> None:
        keys = sorted(caps.keys() | held)
        if not keys:
            return
        if caps:
            rows = [{"id": key, "cap_nanos": cap, "spent_nanos": 0, "held_nanos": 0} for key, cap in caps.items()]
            self._connection.execute(insert_or_ignore(self._connection.dialect.name, budgets), rows)
        query = select(budgets).where(budgets.c.id.in_(keys)).order_by(budgets.c.id).with_for_update()
        for row in self._connection.execute(query):
            self._budgets[row.id] = _Budget(row.cap_nanos, row.spent_nanos, row.held_nanos)

    def _open(self, command: OpenHold) -> Hold:
        budget = self._budgets.get(command.budget_id) if command.budget_id and command.cap_nanos is not None else None
        if budget is not None and budget.spent + budget.held + command.amount > budget.cap:
            raise SpendCapReached(
                "This API key has reached its spend cap. Raise the cap with a new key, or use another key.",
                details={"cap_nanos": budget.cap, "spent_nanos": budget.spent, "held_nanos": budget.held},
            )
        budget_id = command.budget_id if budget is not None else None
        hold = self._ledger.open_hold(
            command.hold_id, command.user_id, command.amount, command.life, command.description, budget_id
        )
        if budget is not None:
            budget.held += command.amount
            budget.changed = True
        return hold

    def _settle(self, command: Settle) -> Settlement:
        amount = command.price.amount(command.quantities)
        posted = self._ledger.capture(command.hold_id, amount, command.description)
        self._leave_budget(command.hold_id, amount)
        record_id = self._ids.new()
        self._usage.append(
            {
                "id": record_id,
                "user_id": command.user_id,
                "api_key_id": command.api_key_id,
                "hold_id": command.hold_id,
                "transaction_id": posted.id if posted else None,
                "price_id": command.price.id,
                "quantities": {meter.value: quantity for meter, quantity in command.quantities.items()},
                "amount_nanos": amount,
                "outcome": command.outcome,
                "details": dict(command.details),
                "created_at": self._now,
            }
        )
        self._also.extend(command.also)
        return Settlement(record_id, amount)

    def _release(self, command: Release) -> None:
        self._ledger.release(command.hold_id, command.description, command.state)
        self._leave_budget(command.hold_id, 0)

    def _leave_budget(self, hold_id: str, spent: int) -> None:
        hold = self._ledger.hold(hold_id)
        budget = self._budgets.get(hold.budget_id) if hold and hold.budget_id else None
        if hold is None or budget is None:
            return
        budget.held -= hold.amount
        budget.spent += spent
        budget.changed = True

    def _write_budgets(self) -> None:
        rows = [
            {"key": key, "spent": budget.spent, "held": budget.held}
            for key, budget in self._budgets.items()
            if budget.changed
        ]
        if rows:
            self._connection.execute(_SET_BUDGET, rows)


_SET_BUDGET = (
    update(budgets)
    .where(budgets.c.id == bindparam("key"))
    .values(spent_nanos=bindparam("spent"), held_nanos=bindparam("held"))
)
