"""What is sent and how it is signed: the published contract's way, and Standard Webhooks 1.0.0 beside it.

Both sign exactly the bytes of the body. The body itself holds a signature too, made over its canonical JSON
(RFC 8785) without that field.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
import rfc8785

from cloudyard.foundation.ids import Ids

PREFIX = "whsec_"
SECRET_BYTES = 32
SIGNATURE_HEADER = "X-Webhook-Signature"


@dataclass(frozen=True, slots=True)
class Fact:
    """What a webhook tells of. `id` stays the same however often it is delivered."""

    id: str
    type: str
    at: datetime
    data: Mapping[str, Any]


def new_secret(ids: Ids) -> str:
    """A secret in the form of Standard Webhooks: `whsec_` and 32 random bytes in base64."""
    return PREFIX + base64.b64encode(bytes.fromhex(ids.hex(SECRET_BYTES))).decode()


def body_of(fact: Fact, secret: str) -> bytes:
    """The body that is posted, with its own signature inside."""
    body: dict[str, Any] = {
        "eventId": fact.id,
        "eventType": fact.type,
        "timestamp": fact.at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "data": dict(fact.data),
    }
    return msgspec.json.encode({**body, "signature": documented_signature(rfc8785.dumps(body), secret)})


def headers_of(fact: Fact, body: bytes, secrets: Sequence[str], now: datetime) -> dict[str, str]:
    """The headers that go with a body. Where there are several secrets, the first is the current one."""
    timestamp = int(now.timestamp())
    return {
        "Content-Type": "application/json",
        SIGNATURE_HEADER: documented_signature(body, secrets[0]),
        "webhook-id": fact.id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(standard_signature(fact.id, timestamp, body, secret) for secret in secrets),
    }


def documented_signature(payload: bytes, secret: str) -> str:
    """`sha256=` and the HMAC in hexadecimal, keyed with the secret as it is written."""
    return "sha256=" + hmac.new(secret.encode(), payload, hashlib.sha256).hexdigest()


def standard_signature(message_id: str, timestamp: int, body: bytes, secret: str) -> str:
    """`v1,` and the HMAC in base64 of id, time and body (Standard Webhooks, Signature scheme)."""
    signed = b".".join((message_id.encode(), str(timestamp).encode(), body))
    digest = hmac.new(_standard_key(secret), signed, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


def _standard_key(secret: str) -> bytes:
    """The bytes behind `whsec_`; a secret of another form is taken as it is written."""
    if not secret.startswith(PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(PREFIX), validate=True) or secret.encode()
    except binascii.Error:
        return secret.encode()
