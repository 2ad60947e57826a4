"""Webhooks: administered, delivered to a real receiver, verified."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Mapping

import pytest
from smartaihub import ConflictError, NotFoundError, ValidationError, WebhookVerificationError, verify_webhook
from smartaihub.types import DeliveryDetails
from standardwebhooks.webhooks import Webhook as StandardWebhook
from twins import Client, done, everything

from cloudyard.testing.waiting import eventually, until
from cloudyard.testing.webhooks import Receiver, running_receiver

SECRET = "your-webhook-secret"
EVENTS = ["user.created", "credit.purchased"]
BODY = json.dumps(
    {
        "eventId": "evt_123",
        "eventType": "user.created",
        "timestamp": "2023-10-15T10:30:00Z",
        "data": {"userId": "user_123", "email": "user@example.com"},
        "signature": "sha256=5d41402abc4b2a76b9719d911017c592",
    }
).encode()
WHSEC = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with running_receiver() as running:
        yield running


async def ended(client: Client, webhook_id: str, delivery_id: str) -> DeliveryDetails:
    """The delivery, once it is no longer under way."""

    async def ask() -> DeliveryDetails:
        details: DeliveryDetails = await done(client.webhooks.delivery(webhook_id, delivery_id))
        return details

    return await eventually(ask, lambda delivery: delivery.status != "pending")


@pytest.mark.parametrize("secret", [SECRET, None])
async def test_what_the_server_sends_is_verified(admins: Client, receiver: Receiver, secret: str | None) -> None:
    webhook = await done(admins.webhooks.create(receiver.url, EVENTS, secret=secret))
    assert secret is None or webhook.secret == secret
    assert webhook.secret not in repr(webhook)
    sent = await done(admins.webhooks.test(webhook.id))
    await until(lambda: bool(receiver.posted))
    posted = receiver.posted[0]
    event = verify_webhook(posted.body, posted.headers, webhook.secret)
    assert (event.event_id, event.event_type) == (sent.event_id, "webhook.test")
    document_only = {"X-Webhook-Signature": posted.headers["x-webhook-signature"]}
    assert verify_webhook(posted.body, document_only, webhook.secret, tolerance=None) == event
    with pytest.raises(WebhookVerificationError):
        verify_webhook(posted.body, posted.headers, "another secret")
    assert (await ended(admins, webhook.id, sent.id)).status == "delivered"
    await done(admins.webhooks.delete(webhook.id))


async def test_a_rotated_secret_and_the_old_one_both_verify(admins: Client, receiver: Receiver) -> None:
    webhook = await done(admins.webhooks.create(receiver.url, EVENTS))
    rotated = await done(admins.webhooks.rotate_secret(webhook.id))
    assert rotated.secret != webhook.secret
    await done(admins.webhooks.test(webhook.id))
    await until(lambda: bool(receiver.posted))
    posted = receiver.posted[0]
    new, old = (verify_webhook(posted.body, posted.headers, each.secret) for each in (rotated, webhook))
    assert new == old
    await done(admins.webhooks.delete(webhook.id))


async def test_webhooks_are_administered(admins: Client, receiver: Receiver) -> None:
    webhook = await done(admins.webhooks.create(receiver.url, EVENTS, secret=SECRET, active=False))
    assert (webhook.active, sorted(webhook.events)) == (False, sorted(EVENTS))
    assert webhook.id in [each.id for each in await everything(admins.webhooks.list(limit=2))]
    changed = await done(admins.webhooks.update(webhook.id, events=["payment.failed"], active=True))
    assert (changed.events, changed.active, changed.url) == (["payment.failed"], True, receiver.url)
    assert await done(admins.webhooks.get(webhook.id)) == changed
    with pytest.raises(ValidationError) as refused:
        await done(admins.webhooks.update(webhook.id, events=["no.such.event"]))
    assert refused.value.fields.keys() == {"events"}
    await done(admins.webhooks.delete(webhook.id))
    with pytest.raises(NotFoundError):
        await done(admins.webhooks.get(webhook.id))


async def test_deliveries_are_listed_and_replayed(admins: Client, receiver: Receiver) -> None:
    webhook = await done(admins.webhooks.create(receiver.url, EVENTS))
    sent = await done(admins.webhooks.test(webhook.id))
    details = await ended(admins, webhook.id, sent.id)
    assert [attempt.status_code for attempt in details.log] == [200]
    again = await done(admins.webhooks.replay(webhook.id, sent.id))
    assert again.event_id == sent.event_id
    await ended(admins, webhook.id, again.id)
    await until(lambda: len(receiver.posted) == 2)
    delivered = await everything(
        admins.webhooks.deliveries(webhook.id, status="delivered", event="webhook.test", since=webhook.created_at)
    )
    assert {delivery.event_id for delivery in delivered} == {sent.event_id}
    assert await everything(admins.webhooks.deliveries(webhook.id, until=webhook.created_at)) == []
    await done(admins.webhooks.delete(webhook.id))


async def test_a_delivery_under_way_is_not_replayed(admins: Client, receiver: Receiver) -> None:
    receiver.hang = True
    webhook = await done(admins.webhooks.create(receiver.url, EVENTS))
    sent = await done(admins.webhooks.test(webhook.id))
    with pytest.raises(ConflictError):
        await done(admins.webhooks.replay(webhook.id, sent.id))
    await done(admins.webhooks.delete(webhook.id))


def signed(secret: str, *, body: bytes = BODY, age: int = 0) -> dict[str, str]:
    """Headers as the published library of Standard Webhooks makes them."""
    key = base64.b64encode(secret.encode()).decode() if not secret.startswith("whsec_") else secret
    at = int(time.time()) - age
    library = StandardWebhook(key)
    digest = hmac.new(library._whsecret, b"evt_123.%d.%s" % (at, body), hashlib.sha256).digest()
    return {
        "webhook-id": "evt_123",
        "webhook-timestamp": str(at),
        "webhook-signature": "v1," + base64.b64encode(digest).decode(),
    }


@pytest.mark.parametrize("secret", [SECRET, WHSEC])
@pytest.mark.parametrize("spelling", [str, str.upper, str.title])
def test_headers_are_found_however_they_are_spelled(secret: str, spelling: object) -> None:
    assert callable(spelling)
    headers = {spelling(name): value for name, value in signed(secret).items()}
    event = verify_webhook(BODY, headers, secret)
    assert (event.event_id, event.data["userId"], event.timestamp.year) == ("evt_123", "user_123", 2023)


@pytest.mark.parametrize("age", [301, -301, 10**6])
def test_one_that_is_too_old_or_from_the_future_is_refused(age: int) -> None:
    with pytest.raises(WebhookVerificationError, match="300 seconds"):
        verify_webhook(BODY, signed(WHSEC, age=age), WHSEC)
    assert verify_webhook(BODY, signed(WHSEC, age=age), WHSEC, tolerance=10**7).event_id == "evt_123"
    assert verify_webhook(BODY, signed(WHSEC, age=age), WHSEC, tolerance=None).event_id == "evt_123"


GOOD = signed(WHSEC)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        GOOD | {"webhook-signature": ""},
        GOOD | {"webhook-signature": GOOD["webhook-signature"][:-4]},
        GOOD | {"webhook-signature": GOOD["webhook-signature"].replace("v1,", "v2,")},
        GOOD | {"webhook-signature": "v1,é"},
        GOOD | {"webhook-id": "evt_124"},
        GOOD | {"webhook-timestamp": str(int(GOOD["webhook-timestamp"]) + 1)},
        GOOD | {"webhook-timestamp": "soon"},
        {name: value for name, value in GOOD.items() if name != "webhook-timestamp"},
        {"X-Webhook-Signature": "sha256=5d41402abc4b2a76b9719d911017c592"},
    ],
)
@pytest.mark.parametrize("tolerance", [300.0, None])
def test_a_forged_one_is_refused(headers: Mapping[str, str], tolerance: float | None) -> None:
    with pytest.raises(WebhookVerificationError):
        verify_webhook(BODY, headers, WHSEC, tolerance)


def test_a_changed_body_is_refused() -> None:
    with pytest.raises(WebhookVerificationError):
        verify_webhook(BODY + b" ", signed(WHSEC), WHSEC)


def test_one_of_several_signatures_is_enough() -> None:
    headers = GOOD | {"webhook-signature": "v1a,x v1,AAAA " + GOOD["webhook-signature"]}
    assert verify_webhook(BODY, headers, WHSEC).event_id == "evt_123"


def test_the_documents_signature_alone_needs_the_callers_leave() -> None:
    signature = "sha256=" + hmac.new(SECRET.encode(), BODY, hashlib.sha256).hexdigest()
    headers = {"X-Webhook-Signature": signature}
    assert verify_webhook(BODY, headers, SECRET, tolerance=None).event_id == "evt_123"
    with pytest.raises(WebhookVerificationError, match="tolerance=None"):
        verify_webhook(BODY, headers, SECRET)
    with pytest.raises(WebhookVerificationError):
        verify_webhook(BODY, {"X-Webhook-Signature": signature.upper()}, SECRET, tolerance=None)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"\xff"])
def test_what_is_signed_but_no_event_is_refused(body: bytes) -> None:
    with pytest.raises(WebhookVerificationError, match="no event"):
        verify_webhook(body, signed(WHSEC, body=body), WHSEC)
