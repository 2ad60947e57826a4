"""The charge around a billable call: hold the worst case, work, then settle for what was used.

Holds and settlements of concurrent calls are committed in groups. A hold that nobody ends expires and is
released; while its call runs in this process it is extended.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import cast

import structlog
from sqlalchemy import select, update

from cloudyard.domains.billing.batch import (
    ChargeBatches,
    Command,
    Deferrable,
    Expire,
    OpenHold,
    Outcome,
    Release,
    Settle,
    Write,
)
from cloudyard.domains.billing.known_funds import KnownFunds
from cloudyard.domains.billing.models import usage_records
from cloudyard.domains.billing.prices import Meter, Price
from cloudyard.domains.billing.records import Settlement
from cloudyard.domains.ledger import HoldNotOpen, HoldState
from cloudyard.domains.ledger.models import holds
from cloudyard.domains.ledger.repository import expired_hold_ids
from cloudyard.foundation.clock import Clock
from cloudyard.foundation.crash_points import crash_point
from cloudyard.foundation.database import Database, DatabaseUnavailable, GroupCommit, UnderWay
from cloudyard.foundation.durable.leases import backoff
from cloudyard.foundation.errors import DomainError, InvalidInput
from cloudyard.foundation.ids import Ids

log = structlog.get_logger(__name__)

EXPIRED_AT_ONCE = 500
LATE_ATTEMPTS = 60
ALONE_SECONDS = 0.1
"""A charge is alone if for so long none has begun while another was open. Those in a crowd begin in step, so that they
end in step, too: two that do not wait for the decision about their holds settle one after the other, each with a flush
of its own."""
LOOK_SECONDS = 0.05


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

    def amount_of(self, quantities: Mapping[Meter, int]) -> int:
        """What settling for these quantities will charge, in nano-dollars."""
        return self.price.amount(self.within_hold(quantities))

    def within_hold(self, quantities: Mapping[Meter, int]) -> dict[Meter, int]:
        """The quantities, cut to what the hold pays for: the answer's tokens first, since the caller limited those."""
        cut = dict(quantities)
        if self.price.amount(cut) <= self.held_nanos:
            return cut
        for line in sorted(self.price.lines, key=lambda line: line.meter != Meter.OUTPUT_TOKEN):
            excess = self.price.amount(cut) - self.held_nanos
            if excess > 0 and line.nanos:
                fewer = -(-excess * line.per // line.nanos)
                cut[line.meter] = max(0, cut.get(line.meter, 0) - fewer)
        return cut


@dataclass(frozen=True, slots=True)
class Usage:
    """What a call consumed, and how it ended."""

    quantities: Mapping[Meter, int]
    outcome: UsageOutcome = UsageOutcome.COMPLETED
    details: Mapping[str, object] | None = None


class Charges:
    """Opens and ends charges."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        ids: Ids,
        *,
        hold_life: timedelta,
        on_group: Callable[[int], None] | None = None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids
        self._hold_life = hold_life
        self._commits: GroupCommit[Command, Outcome] = GroupCommit(
            database, ChargeBatches(clock, ids), on_group=on_group
        )
        self._funds = KnownFunds()
        self._running: set[str] = set()
        self._crowded_at = -ALONE_SECONDS
        self._under_way: dict[str, UnderWay[Outcome]] = {}
        self._late: set[asyncio.Task[None]] = set()

    @property
    def running(self) -> int:
        """Charges that this process has open."""
        return len(self._running)

    async def open(self, payer: Payer, price: Price, worst: Mapping[Meter, int], description: str) -> Charge:
        """Set the worst case aside, durably.

        For a caller that is cancelled meanwhile it is given back. Raises `InsufficientCredits`, `SpendCapReached`, or
        `InvalidInput` for a negative quantity.
        """
        charge = await self.begin(payer, price, worst, description)
        try:
            await self.secured(charge)
        except BaseException:
            await self._undo(charge.hold_id, description)
            raise
        return charge

    async def begin(self, payer: Payer, price: Price, worst: Mapping[Meter, int], description: str) -> Charge:
        """Set the worst case aside, without waiting for the disk, nor for the decision where the payer is known to
        have far more: work may begin meanwhile, but nothing of it may be given out before the charge is `secured`
        or settled. Otherwise as `open`.
        """
        _check_quantities(worst)
        amount = price.amount(worst)
        hold_id = self._ids.new()
        budget_id = payer.api_key_id if payer.spend_cap_nanos is not None else None
        command = OpenHold(
            hold_id, payer.user_id, amount, self._hold_life, description, budget_id, payer.spend_cap_nanos
        )
        self._under_way[hold_id] = await self._begun(command)
        self._running.add(hold_id)
        crash_point("charge.begun")
        return Charge(hold_id, payer, price, amount, description)

    async def _begun(self, command: OpenHold) -> UnderWay[Outcome]:
        if self._is_alone() and command.budget_id is None and self._funds.cover(command.user_id, command.amount):
            return self._commits.ahead(command)
        try:
            return await self._commits.begin(command)
        except asyncio.CancelledError:
            await self._undo(command.hold_id, command.description)
            raise

    def _is_alone(self) -> bool:
        now = self._clock.monotonic()
        if self._running:
            self._crowded_at = now
        return now - self._crowded_at >= ALONE_SECONDS

    async def secured(self, charge: Charge) -> None:
        """Wait until what was set aside is on disk.

        Raises `DatabaseUnavailable` where it could not be written, and what `begin` raises where that did not wait
        for the decision, or PostgreSQL had to decide again.
        """
        hold = self._under_way.get(charge.hold_id)
        if hold is not None:
            try:
                await hold.durable()
            except DomainError:
                self._funds.forget(charge.payer.user_id)
                raise
            self._under_way.pop(charge.hold_id, None)
        crash_point("charge.held")

    async def settle(self, charge: Charge, usage: Usage, *, also: tuple[Write, ...] = ()) -> Settlement:
        """Charge what was used, give the rest back and write the usage record, all in one transaction.

        Usage beyond the worst case is charged as far as the hold goes; the record keeps what was reported. A charge
        need not be `secured` before: where its hold could not be written this raises what `secured` raises.
        Raises `HoldNotOpen` if the hold expired, or `InvalidInput` for a negative quantity.
        """
        crash_point("charge.before_settle")
        _check_quantities(usage.quantities)
        quantities = charge.within_hold(usage.quantities)
        details = dict(usage.details or {})
        if quantities != usage.quantities:
            details["reported"] = {meter.value: quantity for meter, quantity in usage.quantities.items()}
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
        except DomainError as error:
            self._funds.forget(charge.payer.user_id)
            if isinstance(error, HoldNotOpen):
                await self.secured(charge)
            raise
        finally:
            self._end(charge.hold_id)
        self._funds.learn(charge.payer.user_id, settlement.left)
        crash_point("charge.settled")
        return settlement

    def settle_later(self, charge: Charge, usage: Usage, *, also: tuple[Write, ...] = ()) -> None:
        """Settle what was delivered already as soon as the database can be used again.

        Until then the hold is kept from expiring, for as long as this process lives.
        """
        self._running.add(charge.hold_id)
        for write in also:
            if isinstance(write, Deferrable):
                write.put_off()
        task = asyncio.create_task(self._settle_in_the_end(charge, usage, also), name=f"settle {charge.hold_id}")
        self._late.add(task)
        task.add_done_callback(self._late.discard)

    async def _settle_in_the_end(self, charge: Charge, usage: Usage, also: tuple[Write, ...]) -> None:
        try:
            await self._settle_until_done(charge, usage, also)
        finally:
            for write in also:
                if isinstance(write, Deferrable):
                    write.done()

    async def _settle_until_done(self, charge: Charge, usage: Usage, also: tuple[Write, ...]) -> None:
        for attempt in range(1, LATE_ATTEMPTS + 1):
            await self._clock.sleep(backoff(attempt, largest=60).total_seconds())
            try:
                await self._settle_once(charge, usage, also)
            except DatabaseUnavailable:
                self._running.add(charge.hold_id)
            except DomainError as error:
                log.error("late settlement refused", **_told(charge, usage), error=str(error))
                return
            else:
                return
        self._running.discard(charge.hold_id)
        log.error("late settlement given up", **_told(charge, usage), advice="charge it by hand if it was delivered")

    async def _settle_once(self, charge: Charge, usage: Usage, also: tuple[Write, ...]) -> None:
        """Settle, unless an earlier attempt arrived whose commit was in doubt."""
        try:
            await self.settle(charge, usage, also=also)
        except HoldNotOpen:
            async with self._database.reading() as tx:
                query = select(usage_records.c.hold_id).where(usage_records.c.hold_id == charge.hold_id)
                if await tx.scalar(query) is None:
                    raise

    async def ended(self, timeout: float) -> None:
        """Return once no charge is open here, or after `timeout` seconds (at shutdown)."""
        until = self._clock.monotonic() + timeout
        while self._running and self._clock.monotonic() < until:
            await self._clock.sleep(LOOK_SECONDS)

    async def release(self, charge: Charge, reason: str) -> None:
        """Give everything back: nothing was used. Raises `HoldNotOpen` if the hold expired."""
        hold = self._under_way.get(charge.hold_id)
        try:
            await self._release(charge.hold_id, reason)
        except DomainError as error:
            self._funds.forget(charge.payer.user_id)
            if isinstance(error, HoldNotOpen) and hold is not None and hold.was_refused:
                return
            raise

    async def _release(self, hold_id: str, reason: str) -> None:
        crash_point("charge.before_release")
        try:
            await self._commits.submit(Release(hold_id, reason))
        finally:
            self._end(hold_id)

    def _end(self, hold_id: str) -> None:
        self._running.discard(hold_id)
        self._under_way.pop(hold_id, None)

    async def _undo(self, hold_id: str, description: str) -> None:
        """The caller left while its hold was being written. What cannot be given back now expires."""
        with suppress(DomainError):
            await self._release(hold_id, f"{description}: caller left")

    async def extend_running(self) -> None:
        """Keep the holds of calls that still run here from expiring.

        Every process calls this for its own, several times within the life of a hold.
        """
        if not self._running:
            return
        mine = (holds.c.id.in_(sorted(self._running)), holds.c.state == HoldState.OPEN.value)
        async with self._database.transaction() as tx:
            await tx.execute(select(holds.c.id).where(*mine).order_by(holds.c.id).with_for_update())
            await tx.execute(update(holds).where(*mine).values(expires_at=self._clock.now() + self._hold_life))

    async def release_expired(self) -> int:
        """Give back what holds set aside whose time is over; how many there were (a schedule calls this)."""
        async with self._database.reading() as tx:
            expired = await expired_hold_ids(tx, self._clock.now(), EXPIRED_AT_ONCE)
        # What runs here was not extended only because the database was away.
        others = [hold_id for hold_id in expired if hold_id not in self._running]
        return sum(await asyncio.gather(*(self._expire(hold_id) for hold_id in others)))

    async def _expire(self, hold_id: str) -> bool:
        try:
            await self._commits.submit(Expire(hold_id))
        except HoldNotOpen:
            return False  # it was ended or extended meanwhile
        except DomainError as error:
            log.error("expired hold not released", hold=hold_id, error=str(error))
            return False
        return True


def _told(charge: Charge, usage: Usage) -> dict[str, object]:
    """What an operator needs to know of a charge that could not be settled."""
    return {"hold": charge.hold_id, "user": charge.payer.user_id, "nanos": charge.amount_of(usage.quantities)}


def _check_quantities(quantities: Mapping[Meter, int]) -> None:
    negative = [meter.value for meter, quantity in quantities.items() if quantity < 0]
    if negative:
        raise InvalidInput(f"A quantity must not be negative: {', '.join(negative)}.", field="quantities")
