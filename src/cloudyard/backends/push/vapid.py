"""How a push service knows who sends (VAPID, RFC 8292)."""

from datetime import datetime, timedelta
from urllib.parse import urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

from cloudyard.domains.notifications import VapidKeys
from cloudyard.domains.notifications.vapid_keys import from_base64

TOKEN_LIFE = timedelta(hours=12)
"""Section 2 allows a day; clocks differ."""


def authorization(endpoint: str, keys: VapidKeys, now: datetime, contact: str | None) -> str:
    """The header `Authorization` for one endpoint. `contact` is a `mailto:` or `https:` address of the operator."""
    claims: dict[str, object] = {"aud": origin_of(endpoint), "exp": int((now + TOKEN_LIFE).timestamp())}
    if contact is not None:
        claims["sub"] = contact
    private = ec.derive_private_key(int.from_bytes(from_base64(keys.private), "big"), ec.SECP256R1())
    return f"vapid t={jwt.encode(claims, private, algorithm='ES256')}, k={keys.public}"


def origin_of(url: str) -> str:
    """Scheme, host and port of a URL (RFC 6454, section 6.2)."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
