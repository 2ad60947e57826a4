"""The charge around a billable call: hold the worst case, work, then settle for what was used.

Holds and settlements of concurrent calls are committed in groups. A hold that nobody ends expires and is
released; while its call runs in this process it is extended.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import cast

from sqlalchemy import update

from cloudyard.domains.billing.batch import ChargeBatch, Command, OpenHold, Outcome, Release, Settle, Write
from cloudyard.domains.billing.prices import Meter, Price
from cloudyard.domains.billing.records import Settlement
from cloudyard.domains.ledger import HoldNotOpen, HoldState
from cloudyard.domains.ledger.models import holds
from cloudyard.domains.ledger.repository import expired_hold_ids
from cloudyard.foundation.clock import Clock
from cloudyard.foundation.crash_points import crash_point
from cloudyard.foundation.database import Database, GroupCommit
from cloudyard.foundation.ids import Ids

EXPIRED_AT_ONCE = 500


class UsageOutcome(StrEnum):
    """How a billable call ended."""

    COMPLETED = "completed"
    CLIENT_LEFT = "client_left"
    PROVIDER_FAILED = "provider_failed"


@dataclass(frozen=True, slots=True)
class Payer:
    """Who pays, and through which API key with which spend cap."""

    user_id: str
    api_key_id: str | None = None
    spend_cap_nanos: int | None = None


@dataclass(frozen=True, slots=True)
class Charge:
    """An open charge: credit is set aside for it."""

    hold_id: str
    payer: Payer
    price: Price
    held_nanos: int
    description: str


@dataclass(frozen=True, slots=True)
class Usage:
    """What a call consumed, and how it ended."""

    quantities: Mapping[Meter, int]
    outcome: UsageOutcome = UsageOutcome.COMPLETED
    details: Mapping[str, object] | None = None


class Charges:
    """Opens and ends charges."""

    def __init__(self, database: Database, clock: Clock, ids: Ids, *, hold_life: timedelta) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids
        self._hold_life = hold_life
        self._commits: GroupCommit[Command, Outcome] = GroupCommit(database, ChargeBatch(clock, ids))
        self._running: set[str] = set()

    @property
    def running(self) -> int:
        """Charges that this process has open."""
        return len(self._running)

    async def open(self, payer: Payer, price: Price, worst: Mapping[Meter, int], description: str) -> Charge:
        """Set the worst case aside, durably. Raises `InsufficientCredits` or `SpendCapReached`."""
        amount = price.amount(worst)
        hold_id = self._ids.new()
        budget_id = payer.api_key_id if payer.spend_cap_nanos is not None else None
        command = OpenHold(
            hold_id, payer.user_id, amount, self._hold_life, description, budget_id, payer.spend_cap_nanos
        )
        charge = Charge(hold_id, payer, price, amount, description)
        try:
            await self._commits.submit(command)
        except asyncio.CancelledError:
            await self._undo(charge)
            raise
        self._running.add(hold_id)
        crash_point("charge.held")
        return charge

    async def settle(self, charge: Charge, usage: Usage, *, also: tuple[Write, ...] = ()) -> Settlement:
        """Charge what was used, give the rest back and write the usage record, all in one transaction.

        Usage beyond the worst case is charged as far as the hold goes. Raises `HoldNotOpen` if the hold expired.
        """
        crash_point("charge.before_settle")
        quantities, details = _within_hold(charge, usage)
        command = Settle(
            charge.hold_id,
            charge.payer.user_id,
            charge.payer.api_key_id,
            charge.price,
            quantities,
            usage.outcome.value,
            charge.description,
            details,
            also,
        )
        try:
            settlement = cast(Settlement, await self._commits.submit(command))
        finally:
            self._running.discard(charge.hold_id)
        crash_point("charge.settled")
        return settlement

    async def release(self, charge: Charge, reason: str) -> None:
        """Give everything back: nothing was used. Raises `HoldNotOpen` if the hold expired."""
        crash_point("charge.before_release")
        try:
            await self._commits.submit(Release(charge.hold_id, reason))
        finally:
            self._running.discard(charge.hold_id)

    async def _undo(self, charge: Charge) -> None:
        """The caller left while its hold was being written."""
        with suppress(HoldNotOpen):
            await self.release(charge, f"{charge.description}: caller left")

    async def extend_running(self) -> None:
        """Keep the holds of calls that still run here from expiring (a schedule calls this)."""
        running = sorted(self._running)
        if not running:
            return
        async with self._database.transaction() as tx:
            await tx.execute(
                update(holds)
                .where(holds.c.id.in_(running), holds.c.state == HoldState.OPEN.value)
                .values(expires_at=self._clock.now() + self._hold_life)
            )

    async def release_expired(self) -> int:
        """Give back what holds set aside whose time is over; how many there were (a schedule calls this)."""
        async with self._database.reading() as tx:
            expired = await expired_hold_ids(tx, self._clock.now(), EXPIRED_AT_ONCE)
        for hold_id in expired:
            await self._commits.submit(Release(hold_id, "Hold expired", HoldState.EXPIRED))
        return len(expired)


def _within_hold(charge: Charge, usage: Usage) -> tuple[dict[Meter, int], dict[str, object]]:
    """Cut usage that a provider reports beyond what it was asked for; the record keeps what was reported."""
    quantities = dict(usage.quantities)
    details = dict(usage.details or {})
    if charge.price.amount(quantities) <= charge.held_nanos:
        return quantities, details
    details["reported"] = {meter.value: quantity for meter, quantity in quantities.items()}
    for line in sorted(charge.price.lines, key=lambda line: line.meter != Meter.OUTPUT_TOKEN):
        excess = charge.price.amount(quantities) - charge.held_nanos
        if excess > 0 and line.nanos:
            fewer = -(-excess * line.per // line.nanos)
            quantities[line.meter] = max(0, quantities.get(line.meter, 0) - fewer)
    return quantities, details
