"""What notifications need from outside: something that hands a message to a browser's push service."""

from dataclasses import dataclass
from typing import Protocol

from cloudyard.foundation.errors import DomainError, ErrorKind


class PushGone(DomainError):
    """The push service knows the subscription no more (RFC 8030, section 7.3)."""

    code = "push_gone"
    kind = ErrorKind.NOT_FOUND


class PushRefused(DomainError):
    """The push service will never take this message."""

    code = "push_refused"
    kind = ErrorKind.UPSTREAM


class PushUnavailable(DomainError):
    """The push service cannot be reached, or takes nothing for now; `retry_after` is what it asks for, if anything."""

    code = "push_unavailable"
    kind = ErrorKind.UNAVAILABLE


@dataclass(frozen=True, slots=True)
class VapidKeys:
    """The key pair by which push services know this installation (RFC 8292), in URL-safe base64 without padding.

    `public` is an uncompressed point of P-256, 65 bytes; `private` is the number behind it, 32 bytes.
    """

    public: str
    private: str


@dataclass(frozen=True, slots=True)
class Push:
    """A message to one browser. `p256dh` and `auth` are what the browser gave with its subscription (RFC 8291).

    Of several with the same topic the push service keeps the last (RFC 8030, section 5.4).
    """

    endpoint: str
    p256dh: str
    auth: str
    payload: bytes
    ttl_seconds: int
    topic: str
    urgent: bool


class PushSender(Protocol):
    """Encrypts and hands over. It follows no redirect, and connects to no address that the rules forbid."""

    async def send(self, push: Push, keys: VapidKeys) -> None:
        """Hand it over. Raises `PushGone`, `PushRefused`, `PushUnavailable`."""
        ...
