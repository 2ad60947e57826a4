"""A batch of charge commands in one transaction: holds, captures, releases, spend caps, usage records."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol, runtime_checkable

from sqlalchemy import Connection

from cloudyard.domains.billing.models import usage_records
from cloudyard.domains.billing.prices import Meter, Price
from cloudyard.domains.billing.records import Settlement
from cloudyard.domains.billing.spend_caps import Budgets
from cloudyard.domains.ledger import Hold, HoldNotOpen, HoldState, LedgerBatch, wallet_of
from cloudyard.domains.ledger.records import REVENUE
from cloudyard.foundation.clock import Clock
from cloudyard.foundation.database.prepared import PreparedInsert
from cloudyard.foundation.errors import DomainError
from cloudyard.foundation.ids import Ids


@runtime_checkable
class Deferrable(Protocol):
    """A write that wants to know when its charge is settled later, and when that is over, whatever came of it."""

    def __call__(self, connection: Connection) -> None:
        """Write."""
        ...

    def put_off(self) -> None:
        """The charge is settled later."""
        ...

    def done(self) -> None:
        """It was settled, or never will be."""
        ...


Write = Callable[[Connection], None] | Deferrable


_ADD_USAGE = PreparedInsert(
    usage_records,
    (
        "hold_id",
        "user_id",
        "api_key_id",
        "transaction_id",
        "price_id",
        "quantities",
        "amount_nanos",
        "outcome",
        "details",
        "created_at",
    ),
)


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
    """Charge what was used and give the rest back. `also` is written in the same transaction.

    A write in `also` may be called again, in another transaction, where the first was rolled back.
    """

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


@dataclass(frozen=True, slots=True)
class Expire:
    """Give everything back, if the hold's time is still over."""

    hold_id: str


Command = OpenHold | Settle | Release | Expire
Outcome = Hold | Settlement | None


class ChargeBatches:
    """Begins batches; `GroupCommit` calls it."""

    def __init__(self, clock: Clock, ids: Ids) -> None:
        self._clock = clock
        self._ids = ids

    def __call__(self, connection: Connection) -> "ChargeBatch":
        """A batch for an open transaction."""
        return ChargeBatch(connection, self._ids, self._clock.now())


class ChargeBatch:
    """Decides every command in its order, in memory, and then writes everything. Lives as long as one transaction."""

    def __init__(self, connection: Connection, ids: Ids, now: datetime) -> None:
        self._connection = connection
        self._now = now
        self._ledger = LedgerBatch(connection, ids, now)
        self._budgets = Budgets(connection)
        self._usage: list[tuple[Any, ...]] = []
        self._also: list[Write] = []

    def decide(self, commands: Sequence[Command]) -> list[Outcome | DomainError]:
        """Read what the commands need that was not read before, and answer each."""
        self._load(commands)
        return [self._decide(command) for command in commands]

    def write(self) -> None:
        """Write what was decided, once."""
        self._ledger.flush()
        _ADD_USAGE.run(self._connection, self._usage)
        self._budgets.flush()
        for write in self._also:
            write(self._connection)

    def _decide(self, command: Command) -> Outcome | DomainError:
        try:
            match command:
                case OpenHold():
                    return self._open(command)
                case Settle():
                    return self._settle(command)
                case Release():
                    self._release(command.hold_id, command.description, HoldState.RELEASED)
                case Expire():
                    self._expire(command)
        except DomainError as refusal:
            return refusal
        return None

    def _load(self, commands: Sequence[Command]) -> None:
        opening = [command for command in commands if isinstance(command, OpenHold)]
        ending = [command.hold_id for command in commands if not isinstance(command, OpenHold)]
        owned = {wallet_of(command.user_id) for command in opening}
        if any(isinstance(command, Settle) for command in commands):
            owned.add(REVENUE)
        self._ledger.load(owned, hold_ids=ending)
        caps = {c.budget_id: c.cap_nanos for c in opening if c.budget_id is not None and c.cap_nanos is not None}
        held = {hold.budget_id for hold_id in ending if (hold := self._ledger.hold(hold_id)) and hold.budget_id}
        self._budgets.load(caps, held)

    def _open(self, command: OpenHold) -> Hold:
        budget = self._budgets.of(command.budget_id) if command.cap_nanos is not None else None
        if budget is not None:
            budget.require(command.amount)
        hold = self._ledger.open_hold(
            command.hold_id,
            command.user_id,
            command.amount,
            command.life,
            command.description,
            command.budget_id if budget is not None else None,
        )
        if budget is not None:
            budget.hold(command.amount)
        return hold

    def _settle(self, command: Settle) -> Settlement:
        amount = command.price.amount(command.quantities)
        posted = self._ledger.capture(command.hold_id, amount, command.description)
        hold = self._leave_budget(command.hold_id)
        self._usage.append(
            (
                hold.id,
                hold.user_id,
                command.api_key_id,
                posted.id if posted else None,
                command.price.id,
                dict(command.quantities),
                amount,
                command.outcome,
                dict(command.details),
                self._now,
            )
        )
        self._also.extend(command.also)
        return Settlement(hold.id, amount, self._ledger.wallet_nanos(hold.user_id))

    def _expire(self, command: Expire) -> None:
        hold = self._ledger.hold(command.hold_id)
        if hold is not None and hold.expires_at >= self._now:
            raise HoldNotOpen(f"Hold {hold.id} was extended meanwhile, so it does not expire.")
        self._release(command.hold_id, "Hold expired", HoldState.EXPIRED)

    def _release(self, hold_id: str, description: str, state: HoldState) -> None:
        self._ledger.release(hold_id, description, state)
        self._leave_budget(hold_id)

    def _leave_budget(self, hold_id: str) -> Hold:
        hold = self._ledger.known_hold(hold_id)
        budget = self._budgets.of(hold.budget_id)
        if budget is not None:
            budget.end(hold)
        return hold
