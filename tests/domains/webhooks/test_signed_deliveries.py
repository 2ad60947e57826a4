"""What is sent verifies: by the published contract's recipe, inside the body, and by the Standard Webhooks library."""

import base64
import hashlib
import hmac
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest
from standardwebhooks import Webhook as Verifier
from standardwebhooks.webhooks import WebhookVerificationError

from cloudyard.domains.webhooks.models import webhook_endpoints
from cloudyard.foundation.database import Database
from cloudyard.foundation.durable import Outbox
from cloudyard.foundation.ids import SystemIds
from cloudyard.testing.clock import ManualClock
from cloudyard.testing.identity import identity_parts
from cloudyard.testing.webhooks import Posted, Receiver, WebhookParts

Tell = Callable[..., Awaitable[None]]

SECRET = "your-webhook-secret"


def verify_webhook(payload: bytes, signature: str, secret: str) -> bool:
    """The document's `verifyWebhook`."""
    expected = hmac.new(secret.encode(), payload, hashlib.sha256).hexdigest()
    return f"sha256={expected}" == signature


def standard(posted: Posted, secret: str) -> None:
    Verifier(secret).verify(posted.body, posted.headers)


async def test_a_new_user_is_told_of_and_the_signatures_verify(
    parts: WebhookParts,
    receiver: Receiver,
    database: Database,
    clock: ManualClock,
    ids: SystemIds,
    outbox: Outbox,
    tmp_path: Path,
) -> None:
    identity = identity_parts(database, clock, ids, outbox, tmp_path)
    events = ["user.created", "credit.purchased", "payment.completed"]
    await parts.webhooks.create("admin", url=receiver.url, events=events, secret=SECRET)
    user = await identity.users.register(
        email="user@example.com", password="correct horse", first_name="Jöhn", last_name="Doe"
    )
    assert await parts.settle() == 1

    (posted,) = receiver.posted
    body = posted.json
    assert set(body) == {"eventId", "eventType", "timestamp", "data", "signature"}
    assert (body["eventType"], body["eventId"]) == ("user.created", posted.headers["webhook-id"])
    assert body["timestamp"] == clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
    told = {"userId": user.id, "email": "user@example.com", "firstName": "Jöhn", "lastName": "Doe"}
    assert body["data"].items() >= told.items()

    assert verify_webhook(posted.body, posted.headers["x-webhook-signature"], SECRET)
    assert not verify_webhook(posted.body + b" ", posted.headers["x-webhook-signature"], SECRET)
    standard(posted, base64.b64encode(SECRET.encode()).decode())
    inside = body.pop("signature")
    canonical = msgspec.json.encode(body, order="sorted")
    assert verify_webhook(canonical, inside, SECRET)


async def test_without_a_secret_a_random_one_is_made_which_verifies(
    parts: WebhookParts, receiver: Receiver, tell: Tell
) -> None:
    _, secret = await parts.webhooks.create("admin", url=receiver.url, events=["user.updated"])
    _, other = await parts.webhooks.create("admin", url=receiver.url, events=["user.created"])
    assert secret.startswith("whsec_") and secret != other
    await tell(1)
    await parts.settle()
    (posted,) = receiver.posted
    standard(posted, secret)
    with pytest.raises(WebhookVerificationError):
        standard(posted, other)
    assert verify_webhook(posted.body, posted.headers["x-webhook-signature"], secret)


async def test_for_a_day_after_a_rotation_the_old_secret_verifies_too(
    parts: WebhookParts, receiver: Receiver, tell: Tell, clock: ManualClock
) -> None:
    webhook, old = await parts.webhooks.create("admin", url=receiver.url, events=["user.updated"])
    _, new = await parts.webhooks.rotate_secret("admin", webhook.id)
    await tell(1)
    await parts.settle()
    (both,) = receiver.posted
    standard(both, old)
    standard(both, new)
    assert verify_webhook(both.body, both.headers["x-webhook-signature"], new)

    clock.advance(24 * 3600)
    await tell(2)
    await parts.settle()
    signatures = receiver.posted[1].headers["webhook-signature"].split(" ")
    assert len(both.headers["webhook-signature"].split(" ")) == 2 and len(signatures) == 1


async def test_no_secret_is_stored_in_the_clear(parts: WebhookParts, receiver: Receiver, database: Database) -> None:
    await parts.webhooks.create("admin", url=receiver.url, events=["user.updated"], secret=SECRET)
    async with database.reading() as tx:
        (row,) = await tx.all(webhook_endpoints.select())
    assert SECRET not in str(row)
