"""What tells users and their programs of what happened: notifications, web push, webhooks, the live feed."""

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta

from cloudyard.backends.push import WebPush
from cloudyard.backends.webhooks import HttpSender
from cloudyard.domains.audit import AuditLog
from cloudyard.domains.billing import UsageFeed
from cloudyard.domains.live import LiveConsumer, LiveFeed, UsageFollowers
from cloudyard.domains.notifications import (
    BrowserConsumer,
    NoticeConsumer,
    Notifications,
    Postman,
    Pusher,
    PushSubscriptions,
    VapidKeyStore,
)
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
from cloudyard.foundation.durable import Loop, Schedule
from cloudyard.foundation.money import CreditRate
from cloudyard.foundation.outbound_addresses import AddressRules
from cloudyard.wiring.foundation import Foundation
from cloudyard.wiring.identity import Identity

LIVE_KINDS = frozenset(
    {
        "user.updated",
        "credit.purchased",
        "payment.completed",
        "payment.failed",
        "notification.created",
    }
)
"""What users hear of as it happens."""
LIVE_PRUNED_EVERY = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Events:
    """The services of notifications, webhooks and the live feed, and what they do in the background."""

    notifications: Notifications
    push_keys: VapidKeyStore
    push_subscriptions: PushSubscriptions
    live: LiveFeed
    webhooks: Webhooks
    lost_webhook_secrets: LostSecrets
    loops: Mapping[str, Loop]
    schedules: Sequence[Schedule]


def open_events(
    base: Foundation, audit: AuditLog, rate: CreditRate, identity: Identity, stack: AsyncExitStack
) -> Events:
    """Subscribe to what happens, and open the ways out; `stack` closes them."""
    settings, clock, database = base.settings, base.clock, base.database
    notifications = Notifications(
        database,
        clock,
        base.ids,
        base.outbox,
        identity.users,
        settings.notifications,
        mail_available=settings.mail_backend != "none",
    )
    base.outbox.subscribe(NoticeConsumer(notifications))
    push_keys, push_subscriptions, pusher = _push(base, audit, stack)
    base.outbox.subscribe(BrowserConsumer(push_subscriptions))
    live = LiveFeed(database, clock, base.fan_out)
    base.outbox.subscribe(LiveConsumer(live, LIVE_KINDS))
    webhooks, deliveries, usage_webhooks, lost_secrets = _webhooks(base, audit, rate, stack)
    usage = UsageFeed(database, clock, rate, [UsageFollowers(clock, live), usage_webhooks])
    return Events(
        notifications,
        push_keys,
        push_subscriptions,
        live,
        webhooks,
        lost_secrets,
        loops={
            "notices": Postman(database, clock, identity.users, identity.mailer).run,
            "pushes": pusher.run,
            "webhooks": deliveries.run,
            "usage": usage.run,
        },
        schedules=[
            Schedule("live.prune", LIVE_PRUNED_EVERY, live.prune),
            notifications.schedule(),
            DeliveryLogPruner(database, clock).schedule(),
        ],
    )


def _webhooks(
    base: Foundation, audit: AuditLog, rate: CreditRate, stack: AsyncExitStack
) -> tuple[Webhooks, Deliveries, UsageWebhooks, LostSecrets]:
    settings, wakening = base.settings.webhooks, Wakening()
    rules = AddressRules(
        "webhooks", allow_loopback=base.settings.webhook_loopback, allowed_networks=settings.allowed_networks
    )
    sender = HttpSender(rules.check_address, timeout_seconds=settings.timeout_seconds)
    stack.push_async_callback(sender.close)
    disabling = Disabling(base.outbox, audit)
    lost_secrets = LostSecrets(base.clock, base.ids, base.secrets, disabling)
    rows = DeliveryRows(base.clock, rate)
    base.outbox.subscribe(WebhookConsumer(base.database, rows, wakening))
    deliveries = Deliveries(
        base.database,
        base.clock,
        base.secrets,
        sender,
        disabling,
        wakening,
        at_once=settings.deliveries_at_once,
        timeout_seconds=settings.timeout_seconds,
    )
    webhooks = Webhooks(base.database, base.clock, base.ids, base.secrets, audit, rules, wakening)
    return webhooks, deliveries, UsageWebhooks(rows, wakening), lost_secrets


def _push(base: Foundation, audit: AuditLog, stack: AsyncExitStack) -> tuple[VapidKeyStore, PushSubscriptions, Pusher]:
    settings = base.settings.push
    rules = AddressRules(
        "push",
        allow_loopback=settings.allow_loopback,
        allowed_networks=settings.allowed_networks,
        field="endpoint",
    )
    sender = WebPush(
        base.clock,
        rules.check_address,
        contact=base.settings.push_contact,
        timeout_seconds=settings.timeout_seconds,
    )
    stack.push_async_callback(sender.close)
    keys = VapidKeyStore(base.database, base.clock, base.secrets, audit)
    subscriptions = PushSubscriptions(base.database, base.clock, base.ids, base.secrets, keys, rules)
    pusher = Pusher(base.database, base.clock, base.secrets, keys, sender, ttl_seconds=settings.ttl_seconds)
    return keys, subscriptions, pusher
