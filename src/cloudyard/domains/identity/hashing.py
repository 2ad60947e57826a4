"""How random secrets (keys, tokens) are stored: by a hash that finds them again and does not tell them."""

import hashlib


def secret_hash(secret: str) -> str:
    """SHA-256 in hexadecimal. Enough for secrets of 128 random bits; passwords need Argon2id instead."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
