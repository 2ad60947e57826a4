"""Stripe's webhook signature: `t=<unix time>,v1=<hex HMAC-SHA256 of "t.body">`, several `v1` while a secret rotates.

Source: Stripe documentation, Webhooks, Verify webhook signatures manually.
"""

import hashlib
import hmac
from datetime import datetime, timedelta

from cloudyard.domains.payments import ForgedPaymentEvent

HEADER = "stripe-signature"
TOLERANCE = timedelta(minutes=5)
SCHEME = "v1"


def sign(body: bytes, secret: str, timestamp: int) -> str:
    """The signature of a body at a Unix time, in hexadecimal."""
    return hmac.new(secret.encode(), b"%d." % timestamp + body, hashlib.sha256).hexdigest()


def verify(body: bytes, header: str | None, secret: str, now: datetime) -> None:
    """Raises `ForgedPaymentEvent` unless the body was signed with the secret, no longer ago than the tolerance."""
    if header is None:
        raise ForgedPaymentEvent("The event has no Stripe-Signature header. Only Stripe's own events are taken.")
    timestamp, signatures = _parts(header)
    expected = sign(body, secret, timestamp)
    if not any(hmac.compare_digest(expected.encode(), given.encode()) for given in signatures):
        raise ForgedPaymentEvent(
            "The event's signature does not match. Set payments.stripe_webhook_secret to the signing secret of the "
            "webhook endpoint that sends here."
        )
    if abs(now.timestamp() - timestamp) > TOLERANCE.total_seconds():
        raise ForgedPaymentEvent("The event was signed more than 5 minutes from now. Check this machine's clock.")


def _parts(header: str) -> tuple[int, list[str]]:
    pairs = [part.strip().partition("=") for part in header.split(",")]
    times = [value for name, _, value in pairs if name == "t"]
    if not times or not times[0].isascii() or not times[0].isdigit() or len(times[0]) > len("9999999999"):
        raise ForgedPaymentEvent("The Stripe-Signature header has no time. Only Stripe's own events are taken.")
    return int(times[0]), [value for name, _, value in pairs if name == SCHEME]
