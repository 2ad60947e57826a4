"""How random secrets (keys, tokens) are stored: by a hash that finds them again and does not tell them."""

import hashlib
from base64 import urlsafe_b64encode


def secret_hash(secret: str) -> str:
    """SHA-256 in hexadecimal. Enough for secrets of 128 random bits; passwords need Argon2id instead."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def code_challenge(verifier: str) -> str:
    """The challenge that a verifier answers, by the method S256 (RFC 7636, section 4.2)."""
    digest = hashlib.sha256(verifier.encode("utf-8", "surrogatepass")).digest()
    return urlsafe_b64encode(digest).rstrip(b"=").decode()
