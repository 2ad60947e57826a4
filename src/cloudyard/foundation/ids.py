"""Identifiers and random secrets as a dependency, so that tests own them."""

import secrets
from typing import Protocol

import uuid_utils


class Ids(Protocol):
    """Where everything that needs an id or a secret gets it."""

    def new(self) -> str:
        """A new UUID, ordered by time (RFC 9562, version 7), in canonical text form."""
        ...

    def token(self, size: int = 32) -> str:
        """A URL-safe secret with `size` bytes of randomness."""
        ...

    def hex(self, size: int = 16) -> str:
        """A secret of `size` random bytes in hexadecimal."""
        ...


class SystemIds:
    """Ids from the machine's clock and its cryptographic random source."""

    def new(self) -> str:
        """A new UUID version 7."""
        return str(uuid_utils.uuid7())

    def token(self, size: int = 32) -> str:
        """A URL-safe secret."""
        return secrets.token_urlsafe(size)

    def hex(self, size: int = 16) -> str:
        """A hexadecimal secret."""
        return secrets.token_hex(size)
