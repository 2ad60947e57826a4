"""What webhooks need from outside: something that posts a message to an address on the network."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from cloudyard.foundation.errors import DomainError, ErrorKind


class TargetUnreachable(DomainError):
    """The receiver could not be reached, or did not answer in time."""

    code = "webhook_target_unreachable"
    kind = ErrorKind.UPSTREAM


@dataclass(frozen=True, slots=True)
class Message:
    """What is posted: exactly these bytes under exactly these headers."""

    url: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What a receiver said: the status, where it redirects to, and the beginning of the body as text."""

    status: int
    location: str | None
    text: str


class Sender(Protocol):
    """Posts messages. It follows no redirect, and connects to no address that the rules forbid."""

    async def send(self, message: Message) -> Answer:
        """Post it. Raises `AddressForbidden`, `TargetUnreachable`."""
        ...
