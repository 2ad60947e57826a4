"""Encryption of what is pushed, so that the push service cannot read it (RFC 8291, in the coding of RFC 8188)."""

import http_ece  # type: ignore[import-untyped]
from cryptography.hazmat.primitives.asymmetric import ec

from cloudyard.domains.notifications.vapid_keys import from_base64

CODING = "aes128gcm"


def encrypted(payload: bytes, *, p256dh: str, auth: str) -> bytes:
    """The body to post: one record, with a key pair and a salt that are used this once.

    Raises ValueError for a `p256dh` that is no point on P-256.
    """
    body: bytes = http_ece.encrypt(
        payload,
        private_key=ec.generate_private_key(ec.SECP256R1()),
        dh=from_base64(p256dh),
        auth_secret=from_base64(auth),
        version=CODING,
    )
    return body
