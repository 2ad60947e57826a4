"""Sending what is due: claim in a transaction, post outside of any, write the outcome guarded by the lease.

Each endpoint has a worker of its own, so that one that hangs or fails delays no other. An endpoint that is failing
gets one delivery at a time, one that answers several, each of another lane.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Row, Select, exists, insert, select, tuple_, update

from cloudyard.domains.webhooks import repository
from cloudyard.domains.webhooks.disabling import Disabling
from cloudyard.domains.webhooks.models import webhook_attempts, webhook_deliveries, webhook_endpoints
from cloudyard.domains.webhooks.outcomes import (
    Outcome,
    Tried,
    after_failure,
    answered,
    attempt_row,
    is_last,
    reason_to_stop,
    unanswered,
)
from cloudyard.domains.webhooks.ports import Message, Sender, TargetUnreachable
from cloudyard.domains.webhooks.signatures import Fact, body_of, headers_of
from cloudyard.domains.webhooks.wakening import Wakening
from cloudyard.foundation.clock import Clock, until_beat
from cloudyard.foundation.crash_points import crash_point
from cloudyard.foundation.database import Database, DatabaseUnavailable, Transaction
from cloudyard.foundation.durable.failures import described
from cloudyard.foundation.durable.leases import NOW, claim, give_back
from cloudyard.foundation.outbound_addresses import AddressForbidden
from cloudyard.foundation.secret_box import SecretBox, SecretUnreadable

log = structlog.get_logger(__name__)

SPARE_LEASE = timedelta(seconds=45)
POLL_SECONDS = 1.0
PAUSE_SECONDS = 5.0
"""How long an endpoint whose worker failed is left alone."""

DUE_ENDPOINTS = select(webhook_endpoints.c.id).where(
    webhook_endpoints.c.active,
    exists().where(webhook_deliveries.c.endpoint_id == webhook_endpoints.c.id, *repository.sendable(NOW)),
)


@dataclass(frozen=True, slots=True)
class Batch:
    """What a worker sends at once: deliveries of one endpoint."""

    endpoint: Row[Any]
    rows: Sequence[Row[Any]]


class Deliveries:
    """Sends due deliveries. Any number of processes may run one."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        box: SecretBox,
        sender: Sender,
        disabling: Disabling,
        wakening: Wakening,
        *,
        at_once: int,
        timeout_seconds: float,
    ) -> None:
        self._database = database
        self._clock = clock
        self._box = box
        self._sender = sender
        self._disabling = disabling
        self._wakening = wakening
        self._at_once = at_once
        self._lease = timedelta(seconds=timeout_seconds) + SPARE_LEASE
        self._busy: set[str] = set()

    async def run(self) -> None:
        """Deliver for ever."""
        async with asyncio.TaskGroup() as workers:
            while True:
                for endpoint_id in await self._look():
                    self._start(workers, endpoint_id)
                await self._wakening.wait(until_beat(self._clock, POLL_SECONDS))

    async def deliver_due(self) -> int:
        """Deliver until nothing is due; the number of tries."""
        tried = 0
        while due := await self._due_endpoints():
            tried += sum(await asyncio.gather(*(self._drain(endpoint_id) for endpoint_id in due)))
        return tried

    async def _look(self) -> list[str]:
        try:
            return await self._due_endpoints()
        except DatabaseUnavailable as error:  # those that are sending may go on
            log.warning("webhooks wait for the database", reason=str(error))
            return []

    def _start(self, workers: asyncio.TaskGroup, endpoint_id: str) -> None:
        if endpoint_id in self._busy:
            return
        self._busy.add(endpoint_id)
        worker = workers.create_task(self._work(endpoint_id), name=f"webhook {endpoint_id}")
        worker.add_done_callback(lambda _: self._ended(endpoint_id))

    async def _work(self, endpoint_id: str) -> None:
        try:
            await self._drain(endpoint_id)
        except Exception as error:  # noqa: BLE001 - whatever it was, the other endpoints get theirs
            log.error("webhook worker failed", webhook=endpoint_id, error=described(error))
            await self._clock.sleep(PAUSE_SECONDS)

    def _ended(self, endpoint_id: str) -> None:
        self._busy.discard(endpoint_id)
        self._wakening.wake()  # what came due while the worker was ending

    async def _due_endpoints(self) -> list[str]:
        at = {"now": self._clock.now()}
        return await self._database.glance(lambda connection: list(connection.scalars(DUE_ENDPOINTS, at)))

    async def _drain(self, endpoint_id: str) -> int:
        """Send what one endpoint is due, a batch after the other; the number of tries."""
        tried = 0
        batch = await self._turn(endpoint_id)
        while batch is not None:
            outcomes = await asyncio.gather(*(self._try(batch.endpoint, row) for row in batch.rows))
            crash_point("webhooks.sent")
            tried += len(outcomes)
            batch = await self._turn(endpoint_id, list(zip(batch.rows, outcomes, strict=True)))
        return tried

    async def _turn(self, endpoint_id: str, tried: Sequence[Tried] = ()) -> Batch | None:
        """Write how a batch ended and claim the next one, in one transaction."""
        now = self._clock.now()
        async with self._database.transaction() as tx:
            # The endpoint is locked before its deliveries, in the order in which its removal locks them.
            endpoint = await tx.first(_endpoint(endpoint_id).with_for_update())
            if endpoint is None:
                return None
            if tried:
                await self._apply(tx, endpoint, tried, now)
                endpoint = (await tx.execute(_endpoint(endpoint_id))).one()
            rows = await self._claim(tx, endpoint, now) if endpoint.active else []
        return Batch(endpoint, rows) if rows else None

    async def _claim(self, tx: Transaction, endpoint: Row[Any], now: datetime) -> Sequence[Row[Any]]:
        return await claim(
            tx,
            webhook_deliveries,
            now=now,
            lease=self._lease,
            limit=self._at_once if endpoint.failing_since is None else 1,
            where=[webhook_deliveries.c.endpoint_id == endpoint.id, *repository.sendable(now)],
        )

    async def _try(self, endpoint: Row[Any], row: Row[Any]) -> Outcome:
        at, started = self._clock.now(), self._clock.monotonic()
        try:
            answer = await self._sender.send(self._message(endpoint, row, at))
        except (AddressForbidden, TargetUnreachable, SecretUnreadable) as error:
            return unanswered(error.message, at, self._since(started))
        except Exception as error:  # noqa: BLE001 - whatever it was, it is written down, and the others go on
            log.error("webhook not sent", webhook=endpoint.id, delivery=row.id, error=described(error))
            return unanswered(f"It could not be sent: {described(error)}", at, self._since(started))
        return answered(answer, at, self._since(started))

    def _since(self, started: float) -> int:
        """Milliseconds since then."""
        return round((self._clock.monotonic() - started) * 1000)

    def _message(self, endpoint: Row[Any], row: Row[Any], now: datetime) -> Message:
        secrets = [self._box.decrypt(endpoint.secret)]
        if endpoint.previous_secret is not None and endpoint.previous_secret_until > now:
            secrets.append(self._box.decrypt(endpoint.previous_secret))
        fact = Fact(row.event_id, row.event_type, row.occurred_at, row.data)
        body = body_of(fact, secrets[0])
        return Message(endpoint.url, headers_of(fact, body, secrets, now), body)

    async def _apply(self, tx: Transaction, endpoint: Row[Any], tried: Sequence[Tried], now: datetime) -> None:
        """Write outcomes and what they tell of the endpoint. What lost its lease meanwhile is left out."""
        ids = await _delivered(tx, [row for row, outcome in tried if outcome.delivered], now)
        taken = [(row, outcome) for row, outcome in tried if row.id in ids]
        refused = [
            (row, outcome)
            for row, outcome in tried
            if not outcome.delivered and await give_back(tx, webhook_deliveries, row, **after_failure(row, now))
        ]
        if taken or refused:
            await tx.execute(insert(webhook_attempts), [attempt_row(*each) for each in (*taken, *refused)])
        await _let_next_go(tx, [row for row, _ in taken] + [row for row, _ in refused if is_last(row)], now)
        gone = [outcome for _, outcome in refused if outcome.gone]
        if gone or (refused and not taken):
            await self._failed(tx, endpoint, gone[-1] if gone else refused[-1][1], now)
        elif taken and endpoint.failing_since is not None:
            await _set(tx, endpoint.id, failing_since=None)

    async def _failed(self, tx: Transaction, endpoint: Row[Any], last: Outcome, now: datetime) -> None:
        """Remember since when the endpoint has been failing, and stop sending when that is too long."""
        since = endpoint.failing_since or now
        await _set(tx, endpoint.id, failing_since=since)
        reason = reason_to_stop(last, since, now)
        if endpoint.active and reason is not None:
            await self._disabling.disable(tx, endpoint, reason, now)


def _endpoint(endpoint_id: str) -> Select[Any]:
    return select(webhook_endpoints).where(webhook_endpoints.c.id == endpoint_id)


async def _delivered(tx: Transaction, rows: Sequence[Row[Any]], now: datetime) -> frozenset[int]:
    """Mark rows as delivered, all by one statement; the ids of those whose lease was still ours."""
    if not rows:
        return frozenset()
    table = webhook_deliveries
    ours = tuple_(table.c.id, table.c.epoch).in_([(row.id, row.epoch) for row in rows])
    ended = {"state": "delivered", "due_at": repository.NEVER, "ended_at": now, "lease_until": None}
    marked = update(table).where(ours).values(**ended, tries=table.c.tries + 1)
    return frozenset(row.id for row in await tx.all(marked.returning(table.c.id)))


async def _let_next_go(tx: Transaction, ended: Sequence[Row[Any]], now: datetime) -> None:
    """Make due what waited for deliveries that have ended."""
    lanes = sorted({(row.endpoint_id, row.lane) for row in ended})
    if lanes:
        await tx.execute(repository.first_made_due(now), repository.lanes_to_look_at(lanes))


async def _set(tx: Transaction, endpoint_id: str, **values: Any) -> None:
    await tx.execute(update(webhook_endpoints).where(webhook_endpoints.c.id == endpoint_id).values(**values))
