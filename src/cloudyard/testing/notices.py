"""The services of notifications over a test's own identity, and notices to post."""

from dataclasses import dataclass, replace

from cryptography.fernet import Fernet

from cloudyard.backends.push import WebPush
from cloudyard.domains.audit import AuditLog
from cloudyard.domains.identity import Mailer
from cloudyard.domains.notifications import (
    Category,
    Notice,
    NoticeConsumer,
    Notifications,
    Postman,
    Pusher,
    PushSubscriptions,
    Severity,
    VapidKeyStore,
)
from cloudyard.foundation.clock import Clock
from cloudyard.foundation.database import Database
from cloudyard.foundation.durable import Outbox
from cloudyard.foundation.ids import Ids
from cloudyard.foundation.outbound_addresses import AddressRules
from cloudyard.foundation.secret_box import SecretBox
from cloudyard.foundation.settings.notifications import NotificationSettings
from cloudyard.testing.identity import IdentityParts

DIGEST_SECONDS = 60.0
TTL_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class NoticeParts:
    """Everything that notifications consist of."""

    notifications: Notifications
    postman: Postman


def notice_parts(
    database: Database,
    clock: Clock,
    ids: Ids,
    outbox: Outbox,
    identity: IdentityParts,
    mailer: Mailer,
    *,
    mail_available: bool = True,
) -> NoticeParts:
    """Build the services and hear events. A second call over the same database acts as another process."""
    settings = NotificationSettings(digest_seconds=DIGEST_SECONDS)
    notifications = Notifications(database, clock, ids, outbox, identity.users, settings, mail_available=mail_available)
    outbox.subscribe(NoticeConsumer(notifications))
    return NoticeParts(notifications, Postman(database, clock, identity.users, mailer))


@dataclass(frozen=True, slots=True)
class PushParts:
    """Everything that web push consists of."""

    keys: VapidKeyStore
    subscriptions: PushSubscriptions
    pusher: Pusher
    sender: WebPush


def push_parts(
    database: Database,
    clock: Clock,
    ids: Ids,
    *,
    box: SecretBox | None = None,
    allow_loopback: bool = True,
    timeout_seconds: float = 10.0,
    contact: str | None = "mailto:root@example.com",
) -> PushParts:
    """Build the services. A second call over the same database and box acts as another process."""
    box = box or SecretBox([Fernet.generate_key().decode()])
    rules = AddressRules("push", allow_loopback=allow_loopback, field="endpoint")
    sender = WebPush(clock, rules.check_address, contact=contact, timeout_seconds=timeout_seconds)
    keys = VapidKeyStore(database, clock, box, AuditLog(database, clock))
    return PushParts(
        keys=keys,
        subscriptions=PushSubscriptions(database, clock, ids, box, keys, rules),
        pusher=Pusher(database, clock, box, keys, sender, ttl_seconds=TTL_SECONDS),
        sender=sender,
    )


_LOW = Notice(
    user_id="",
    source="",
    category=Category.BILLING,
    severity=Severity.WARNING,
    title="Your credits are running low",
    message="You have 3 credits left.",
)


def notice(user_id: str, source: str, **changes: object) -> Notice:
    """A warning to a user, for the application and by e-mail where nothing else is said."""
    return replace(_LOW, user_id=user_id, source=source, **changes)  # type: ignore[arg-type]
