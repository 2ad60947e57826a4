"""Webhooks over a test's own database, and a real receiver on loopback to send them to."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
from aiohttp import web
from cryptography.fernet import Fernet

from cloudyard.backends.webhooks import HttpSender
from cloudyard.domains.audit import AuditLog
from cloudyard.domains.webhooks import (
    Deliveries,
    DeliveryLogPruner,
    DeliveryRows,
    Disabling,
    LostSecrets,
    UsageWebhooks,
    Wakening,
    WebhookConsumer,
    Webhooks,
)
from cloudyard.foundation.clock import Clock
from cloudyard.foundation.database import Database
from cloudyard.foundation.durable import Dispatcher, Outbox
from cloudyard.foundation.ids import Ids
from cloudyard.foundation.money import CreditRate
from cloudyard.foundation.outbound_addresses import AddressRules
from cloudyard.foundation.secret_box import SecretBox


@dataclass(frozen=True, slots=True)
class Posted:
    """A request as it came in."""

    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return msgspec.json.decode(self.body)


@dataclass(slots=True)
class Receiver:
    """A server that keeps what is posted to it, and answers as told; `hang` makes it wait for ever.

    `statuses` are answered to posts about these users.
    """

    url: str = ""
    posted: list[Posted] = field(default_factory=list)
    status: int = 200
    statuses: dict[str, int] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    hang: bool = False

    async def take(self, request: web.Request) -> web.Response:
        """Keep a request and answer it."""
        posted = Posted({name.lower(): value for name, value in request.headers.items()}, await request.read())
        self.posted.append(posted)
        if self.hang:
            await asyncio.Event().wait()
        status = self.statuses.get(posted.json["data"].get("userId", ""), self.status) if self.statuses else self.status
        return web.Response(status=status, headers=self.headers, text="noted")


@asynccontextmanager
async def running_receiver() -> AsyncIterator[Receiver]:
    """A receiver on a free port of 127.0.0.1."""
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/{tail:.*}", receiver.take)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
        yield receiver
    finally:
        await runner.cleanup()


@dataclass(frozen=True, slots=True)
class WebhookParts:
    """Everything that webhooks consist of."""

    webhooks: Webhooks
    deliveries: Deliveries
    pruner: DeliveryLogPruner
    usage: UsageWebhooks
    lost_secrets: LostSecrets
    dispatcher: Dispatcher
    sender: HttpSender
    audit: AuditLog

    async def settle(self) -> int:
        """Hand over what the outbox holds and send all that is due now; the number of tries."""
        while await self.dispatcher.deliver_due():
            pass
        return await self.deliveries.deliver_due()


def webhook_parts(
    database: Database,
    clock: Clock,
    ids: Ids,
    outbox: Outbox,
    *,
    box: SecretBox | None = None,
    allow_loopback: bool = True,
    timeout_seconds: float = 15.0,
    at_once: int = 8,
) -> WebhookParts:
    """Build the services. A second call over the same database and box acts as another process."""
    box = box or SecretBox([Fernet.generate_key().decode()])
    audit, wakening = AuditLog(database, clock), Wakening()
    rules = AddressRules("webhooks", allow_loopback=allow_loopback)
    sender = HttpSender(rules.check_address, timeout_seconds=timeout_seconds)
    disabling = Disabling(outbox, audit)
    rows = DeliveryRows(clock, CreditRate(100))
    outbox.subscribe(WebhookConsumer(database, rows, wakening))
    return WebhookParts(
        webhooks=Webhooks(database, clock, ids, box, audit, rules, wakening),
        deliveries=Deliveries(
            database,
            clock,
            box,
            sender,
            disabling,
            wakening,
            at_once=at_once,
            timeout_seconds=timeout_seconds,
        ),
        pruner=DeliveryLogPruner(database, clock),
        usage=UsageWebhooks(rows, wakening),
        lost_secrets=LostSecrets(clock, ids, box, disabling),
        dispatcher=Dispatcher(database, outbox, clock),
        sender=sender,
        audit=audit,
    )
