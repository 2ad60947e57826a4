"""The services of notifications over a test's own identity, and notices to post."""

from dataclasses import dataclass, replace

from cloudyard.domains.identity import Mailer
from cloudyard.domains.notifications import Category, Notice, NoticeConsumer, Notifications, Postman, Severity
from cloudyard.foundation.clock import Clock
from cloudyard.foundation.database import Database
from cloudyard.foundation.durable import Outbox
from cloudyard.foundation.ids import Ids
from cloudyard.foundation.settings.notifications import NotificationSettings
from cloudyard.testing.identity import IdentityParts

DIGEST_SECONDS = 60.0


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
