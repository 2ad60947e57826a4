"""Webhooks as administrators keep them."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, TypedDict, Unpack

from sqlalchemy import delete, func, insert, select, update

from cloudyard.domains.audit import AuditLog
from cloudyard.domains.webhooks import repository
from cloudyard.domains.webhooks.errors import DeliveryUnderWay, InvalidWebhook, TooManyWebhooks, WebhookInactive
from cloudyard.domains.webhooks.events import TEST_EVENT, checked_events
from cloudyard.domains.webhooks.models import webhook_attempts, webhook_deliveries, webhook_endpoints
from cloudyard.domains.webhooks.records import Attempt, Delivery, DeliveryFilter, Webhook
from cloudyard.domains.webhooks.signatures import new_secret
from cloudyard.domains.webhooks.wakening import Wakening
from cloudyard.foundation.clock import Clock
from cloudyard.foundation.database import Database, Transaction
from cloudyard.foundation.ids import Ids
from cloudyard.foundation.outbound_addresses import AddressRules
from cloudyard.foundation.secret_box import SecretBox

MOST_WEBHOOKS = 100
SHORTEST_SECRET, LONGEST_SECRET = 16, 256
OLD_SECRET_KEPT = timedelta(hours=24)


class WebhookChanges(TypedDict, total=False):
    """What of a webhook to change; what is left out stays."""

    url: str
    events: Sequence[str]
    secret: str
    active: bool


class Webhooks:
    """The endpoints that hear of events, and what was sent to them. `actor` is the administrator's id.

    Every act is in the audit log. Secrets are stored encrypted and given out once.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        ids: Ids,
        box: SecretBox,
        audit: AuditLog,
        rules: AddressRules,
        wakening: Wakening,
    ) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids
        self._box = box
        self._audit = audit
        self._rules = rules
        self._wakening = wakening

    async def create(
        self, actor: str, *, url: str, events: Sequence[str], secret: str | None = None, active: bool = True
    ) -> tuple[Webhook, str]:
        """A new webhook and its secret, made up where none is given.

        Raises `InvalidWebhook`, `UnusableUrl`, `AddressForbidden`, `TooManyWebhooks`.
        """
        kept = new_secret(self._ids) if secret is None else _checked_secret(secret)
        now = self._clock.now()
        values = {
            "id": self._ids.new(),
            "url": self._rules.check_url(url),
            "events": checked_events(events),
            "active": active,
            "secret": self._box.encrypt(kept),
            "created_at": now,
            "updated_at": now,
        }
        async with self._database.transaction() as tx:
            if await tx.scalar(select(func.count()).select_from(webhook_endpoints)) >= MOST_WEBHOOKS:
                raise TooManyWebhooks(f"There are {MOST_WEBHOOKS} webhooks, which is the most. Delete one first.")
            row = (await tx.execute(insert(webhook_endpoints).values(**values).returning(*webhook_endpoints.c))).one()
            await self._record(tx, actor, "created", row.id, {"url": url, "events": values["events"]})
        return repository.webhook_of(row), kept

    async def list(self, *, limit: int, offset: int = 0) -> tuple[Sequence[Webhook], int]:
        """A page of the webhooks, newest first, and the number of all."""
        query = select(webhook_endpoints).order_by(webhook_endpoints.c.id.desc()).limit(limit).offset(offset)
        async with self._database.reading() as tx:
            rows = await tx.all(query)
            total = await tx.scalar(select(func.count()).select_from(webhook_endpoints))
        return [repository.webhook_of(row) for row in rows], int(total)

    async def get(self, webhook_id: str) -> Webhook:
        """One webhook. Raises `WebhookNotFound`."""
        async with self._database.reading() as tx:
            return repository.webhook_of(await repository.get_endpoint(tx, webhook_id))

    async def update(self, actor: str, webhook_id: str, **changes: Unpack[WebhookChanges]) -> Webhook:
        """Change a webhook. Made active again, it begins with a clean record and gets what waited for it.

        Raises `WebhookNotFound`, `InvalidWebhook`, `UnusableUrl`, `AddressForbidden`.
        """
        values = self._columns(changes)
        async with self._database.transaction() as tx:
            await repository.get_endpoint(tx, webhook_id, lock=True)
            row = await _write(tx, webhook_id, values)
            await self._record(tx, actor, "updated", webhook_id, {"fields": sorted(changes)})
            tx.after_commit(self._wakening.wake)
        return repository.webhook_of(row)

    async def delete(self, actor: str, webhook_id: str) -> None:
        """Remove a webhook and the log of its deliveries. Raises `WebhookNotFound`."""
        async with self._database.transaction() as tx:
            row = await repository.get_endpoint(tx, webhook_id, lock=True)
            await tx.execute(delete(webhook_endpoints).where(webhook_endpoints.c.id == webhook_id))
            await self._record(tx, actor, "deleted", webhook_id, {"url": row.url})

    async def rotate_secret(self, actor: str, webhook_id: str) -> tuple[Webhook, str]:
        """A new secret. For a day the Standard Webhooks header is signed with the old one too, if that can be read.

        Raises `WebhookNotFound`.
        """
        secret, now = new_secret(self._ids), self._clock.now()
        async with self._database.transaction() as tx:
            before = await repository.get_endpoint(tx, webhook_id, lock=True)
            readable = self._box.can_read(before.secret)
            kept = {
                "previous_secret": before.secret if readable else None,
                "previous_secret_until": now + OLD_SECRET_KEPT if readable else None,
            }
            row = await _write(tx, webhook_id, {"secret": self._box.encrypt(secret), "updated_at": now, **kept})
            await self._record(tx, actor, "secret_rotated", webhook_id)
        return repository.webhook_of(row), secret

    async def test(self, actor: str, webhook_id: str) -> Delivery:
        """Send a `webhook.test` event to this webhook alone, past everything that waits.

        Raises `WebhookNotFound`, `WebhookInactive`.
        """
        now, event_id = self._clock.now(), f"evt_{self._ids.new()}"
        async with self._database.transaction() as tx:
            _require_active(await repository.get_endpoint(tx, webhook_id, lock=True))
            values = {
                "endpoint_id": webhook_id,
                "event_id": event_id,
                "event_type": TEST_EVENT,
                "occurred_at": now,
                "data": {"webhookId": webhook_id},
                "lane": f"test:{event_id}",
                "state": "pending",
                "created_at": now,
                "due_at": now,
            }
            added = insert(webhook_deliveries).values(**values).returning(*webhook_deliveries.c)
            row = (await tx.execute(added)).one()
            await self._record(tx, actor, "tested", webhook_id)
            tx.after_commit(self._wakening.wake)
        return repository.delivery_of(row)

    async def deliveries(
        self, webhook_id: str, wanted: DeliveryFilter, *, limit: int, offset: int = 0
    ) -> tuple[Sequence[Delivery], int]:
        """A page of the delivery log, newest first, and how many match. Raises `WebhookNotFound`."""
        async with self._database.reading() as tx:
            await repository.get_endpoint(tx, webhook_id)
            rows, total = await repository.page_of_deliveries(tx, webhook_id, wanted, limit=limit, offset=offset)
        return [repository.delivery_of(row) for row in rows], total

    async def delivery(self, webhook_id: str, delivery_id: str) -> tuple[Delivery, Sequence[Attempt]]:
        """One delivery and every try, oldest first. Raises `WebhookNotFound`, `DeliveryNotFound`."""
        table = webhook_attempts
        async with self._database.reading() as tx:
            row = await repository.get_delivery(tx, webhook_id, delivery_id)
            tries = await tx.all(select(table).where(table.c.delivery_id == row.id).order_by(table.c.id))
        attempts = [Attempt(t.at, t.status, t.error, t.answer, t.duration_ms) for t in tries]
        return repository.delivery_of(row), attempts

    async def replay(self, actor: str, webhook_id: str, delivery_id: str) -> Delivery:
        """Send an ended delivery again, under the same event id, with all its retries, past everything that waits.

        Raises `WebhookNotFound`, `DeliveryNotFound`, `DeliveryUnderWay`, `WebhookInactive`.
        """
        now, table = self._clock.now(), webhook_deliveries
        async with self._database.transaction() as tx:
            _require_active(await repository.get_endpoint(tx, webhook_id, lock=True))
            row = await repository.get_delivery(tx, webhook_id, delivery_id, lock=True)
            if row.state == "pending":
                raise DeliveryUnderWay("The delivery is still being tried. Wait until it has ended, then replay it.")
            again = {"state": "pending", "tries": 0, "due_at": now, "ended_at": None, "lane": f"replay:{row.id}"}
            changed = update(table).where(table.c.id == row.id).values(**again).returning(*table.c)
            row = (await tx.execute(changed)).one()
            await self._record(tx, actor, "delivery_replayed", webhook_id, {"delivery": delivery_id})
            tx.after_commit(self._wakening.wake)
        return repository.delivery_of(row)

    def _columns(self, changes: WebhookChanges) -> dict[str, Any]:
        values: dict[str, Any] = {"updated_at": self._clock.now()}
        if "url" in changes:
            values["url"] = self._rules.check_url(changes["url"])
        if "events" in changes:
            values["events"] = checked_events(changes["events"])
        if "secret" in changes:
            sealed = self._box.encrypt(_checked_secret(changes["secret"]))
            values |= {"secret": sealed, "previous_secret": None, "previous_secret_until": None}
        if "active" in changes:
            values["active"] = changes["active"]
        if changes.get("active"):
            values |= {"failing_since": None, "disabled_at": None, "disabled_reason": None}
        return values

    async def _record(
        self, tx: Transaction, actor: str, act: str, webhook_id: str, details: dict[str, Any] | None = None
    ) -> None:
        await self._audit.record(tx, actor, f"webhook.{act}", f"webhook:{webhook_id}", details)


async def _write(tx: Transaction, webhook_id: str, values: dict[str, Any]) -> Any:
    table = webhook_endpoints
    return (await tx.execute(update(table).where(table.c.id == webhook_id).values(**values).returning(*table.c))).one()


def _require_active(row: Any) -> None:
    if not row.active:
        raise WebhookInactive("The webhook is not active, so nothing is sent to it. Set `active` to true first.")


def _checked_secret(secret: str) -> str:
    if SHORTEST_SECRET <= len(secret) <= LONGEST_SECRET and secret.isascii() and secret.isprintable():
        return secret
    raise InvalidWebhook(
        f"A secret has {SHORTEST_SECRET} to {LONGEST_SECRET} printable ASCII characters. "
        "Give such a one, or leave it out and get a random one.",
        field="secret",
    )
