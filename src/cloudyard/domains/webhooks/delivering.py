"""Sending what is due: claim in a transaction, post outside of any, write the outcome guarded by the lease.

Each endpoint has a worker of its own, so that one that hangs delays no other. An endpoint that is failing gets one
delivery at a time, one that answers several, each of another lane.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from http import HTTPStatus
from typing import Any

import structlog
from sqlalchemy import Row, Select, exists, insert, select, tuple_, update

from cloudyard.domains.audit import AuditLog
from cloudyard.domains.webhooks import repository
from cloudyard.domains.webhooks.models import webhook_attempts, webhook_deliveries, webhook_endpoints
from cloudyard.domains.webhooks.ports import Message, Sender, TargetForbidden, TargetUnreachable
from cloudyard.domains.webhooks.signatures import Fact, body_of, headers_of
from cloudyard.domains.webhooks.wakening import Wakening
from cloudyard.foundation.clock import Clock
from cloudyard.foundation.crash_points import crash_point
from cloudyard.foundation.database import Database, Transaction
from cloudyard.foundation.durable import Event, Outbox
from cloudyard.foundation.durable.leases import claim, give_back
from cloudyard.foundation.secret_box import SecretBox, SecretUnreadable

log = structlog.get_logger(__name__)

PAUSES = (5, 300, 1800, 7200, 18_000, 36_000, 36_000)
"""Seconds after each failed try until the next: the schedule of Svix, whose first try comes at once."""
DISABLED_AFTER = timedelta(days=5)
SPARE_LEASE = timedelta(seconds=45)
POLL_SECONDS = 1.0
WEBHOOK_DISABLED = "webhook.disabled"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one try ended."""

    at: datetime
    status: int | None
    error: str | None
    answer: str | None
    duration_ms: int

    @property
    def delivered(self) -> bool:
        """Whether the receiver took it."""
        return self.error is None


Tried = tuple[Row[Any], Outcome]


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
        outbox: Outbox,
        audit: AuditLog,
        wakening: Wakening,
        *,
        at_once: int,
        timeout_seconds: float,
    ) -> None:
        self._database = database
        self._clock = clock
        self._box = box
        self._sender = sender
        self._outbox = outbox
        self._audit = audit
        self._wakening = wakening
        self._at_once = at_once
        self._lease = timedelta(seconds=timeout_seconds) + SPARE_LEASE
        self._busy: set[str] = set()

    async def run(self) -> None:
        """Deliver for ever."""
        async with asyncio.TaskGroup() as workers:
            while True:
                for endpoint_id in await self._due_endpoints():
                    self._start(workers, endpoint_id)
                await self._wakening.wait(POLL_SECONDS)

    async def deliver_due(self) -> int:
        """Deliver until nothing is due; the number of tries."""
        tried = 0
        while due := await self._due_endpoints():
            tried += sum(await asyncio.gather(*(self._drain(endpoint_id) for endpoint_id in due)))
        return tried

    def _start(self, workers: asyncio.TaskGroup, endpoint_id: str) -> None:
        if endpoint_id in self._busy:
            return
        self._busy.add(endpoint_id)
        worker = workers.create_task(self._drain(endpoint_id), name=f"webhook {endpoint_id}")
        worker.add_done_callback(lambda _: self._ended(endpoint_id))

    def _ended(self, endpoint_id: str) -> None:
        self._busy.discard(endpoint_id)
        self._wakening.wake()  # what came due while the worker was ending

    async def _due_endpoints(self) -> list[str]:
        due = exists().where(
            webhook_deliveries.c.endpoint_id == webhook_endpoints.c.id, *repository.sendable(self._clock.now())
        )
        async with self._database.reading() as tx:
            found = await tx.all(select(webhook_endpoints.c.id).where(webhook_endpoints.c.active, due))
        return [row.id for row in found]

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
        ended = partial(_ended, self._clock, at, started)
        try:
            answer = await self._sender.send(self._message(endpoint, row, at))
        except (TargetForbidden, TargetUnreachable, SecretUnreadable) as error:
            return ended(error=error.message)
        if 200 <= answer.status < 300:
            return ended(status=answer.status, answer=answer.text)
        return ended(status=answer.status, answer=answer.text, error=_refusal(answer.status, answer.location))

    def _message(self, endpoint: Row[Any], row: Row[Any], now: datetime) -> Message:
        secrets = [self._box.decrypt(endpoint.secret)]
        if endpoint.previous_secret is not None and endpoint.previous_secret_until > now:
            secrets.append(self._box.decrypt(endpoint.previous_secret))
        fact = Fact(row.event_id, row.event_type, row.occurred_at, row.data)
        body = body_of(fact, secrets[0])
        return Message(endpoint.url, headers_of(fact, body, secrets, now), body)

    async def _apply(self, tx: Transaction, endpoint: Row[Any], tried: Sequence[Tried], now: datetime) -> None:
        """Write outcomes and what they tell of the endpoint. What lost its lease meanwhile is left out."""
        taken = await _delivered(tx, [row for row, outcome in tried if outcome.delivered], now)
        refused = [
            (row, outcome)
            for row, outcome in tried
            if not outcome.delivered and await give_back(tx, webhook_deliveries, row, **_after_failure(row, now))
        ]
        kept = [(row, outcome) for row, outcome in tried if row.id in taken] + refused
        if kept:
            await tx.execute(insert(webhook_attempts), [_attempt(row, outcome) for row, outcome in kept])
        if taken and endpoint.failing_since is not None:
            await _set(tx, endpoint.id, failing_since=None)
        elif refused and not taken:
            await self._failed(tx, endpoint, refused[-1][1], now)

    async def _failed(self, tx: Transaction, endpoint: Row[Any], last: Outcome, now: datetime) -> None:
        """Remember since when the endpoint has been failing, and stop sending when that is too long."""
        since = endpoint.failing_since or now
        await _set(tx, endpoint.id, failing_since=since)
        reason = _too_much(last, since, now)
        if endpoint.active and reason is not None:
            await self._disable(tx, endpoint, reason, now)

    async def _disable(self, tx: Transaction, endpoint: Row[Any], reason: str, now: datetime) -> None:
        subject = f"webhook:{endpoint.id}"
        payload = {"webhook_id": endpoint.id, "url": endpoint.url, "reason": reason}
        await _set(tx, endpoint.id, active=False, disabled_at=now, disabled_reason=reason)
        await self._outbox.emit(tx, Event(WEBHOOK_DISABLED, subject, payload))
        await self._audit.record(tx, None, WEBHOOK_DISABLED, subject, {"reason": reason})
        log.warning("webhook disabled", webhook=endpoint.id, reason=reason)


def _endpoint(endpoint_id: str) -> Select[Any]:
    return select(webhook_endpoints).where(webhook_endpoints.c.id == endpoint_id)


async def _delivered(tx: Transaction, rows: Sequence[Row[Any]], now: datetime) -> frozenset[int]:
    """Mark rows as delivered, all by one statement; the ids of those whose lease was still ours."""
    if not rows:
        return frozenset()
    table = webhook_deliveries
    ours = tuple_(table.c.id, table.c.epoch).in_([(row.id, row.epoch) for row in rows])
    ended = {"state": "delivered", "due_at": repository.NEVER, "ended_at": now, "lease_until": None}
    return frozenset(row.id for row in await tx.all(update(table).where(ours).values(**ended).returning(table.c.id)))


def _after_failure(row: Row[Any], now: datetime) -> dict[str, Any]:
    """Where a delivery stands after a failed try: due again, or given up."""
    if row.attempts > len(PAUSES):
        return {"state": "dead", "due_at": repository.NEVER, "ended_at": now}
    return {"due_at": now + timedelta(seconds=PAUSES[row.attempts - 1])}


def _attempt(row: Row[Any], outcome: Outcome) -> dict[str, Any]:
    tried = {name: getattr(outcome, name) for name in ("at", "status", "error", "answer", "duration_ms")}
    return {"delivery_id": row.id, **tried}


async def _set(tx: Transaction, endpoint_id: str, **values: Any) -> None:
    await tx.execute(update(webhook_endpoints).where(webhook_endpoints.c.id == endpoint_id).values(**values))


def _too_much(last: Outcome, since: datetime, now: datetime) -> str | None:
    """Why nothing more is sent to an endpoint, None while it is."""
    if last.status == HTTPStatus.GONE:
        return "The receiver answered 410 (Gone), which means that it wants no more (Standard Webhooks)."
    if now - since < DISABLED_AFTER:
        return None
    return (
        f"Every delivery has failed since {since:%Y-%m-%d %H:%M} UTC, last with: {last.error} "
        "Mend the receiver, then set `active` to true; what waits is sent then."
    )


def _refusal(status: int, location: str | None) -> str:
    if location is not None:
        return (
            f"The receiver answered {status} and redirects to {location[:500]}; redirects are not followed. "
            "Give the final address as the webhook's URL."
        )
    return f"The receiver answered {status}; a delivery counts as taken when it answers 200 to 299."


def _ended(clock: Clock, at: datetime, started: float, **how: Any) -> Outcome:
    taken = round((clock.monotonic() - started) * 1000)
    return Outcome(at, how.get("status"), how.get("error"), how.get("answer"), taken)
