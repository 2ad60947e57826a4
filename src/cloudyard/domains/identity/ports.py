"""What identity needs from outside."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail to one recipient. `id` and `created_at` stay the same when it is sent again after a failure."""

    id: str
    to: str
    subject: str
    text: str
    html: str
    created_at: datetime


class Mailer(Protocol):
    """Something that sends mail."""

    async def send(self, mail: Mail) -> None:
        """Hand the mail over. Raises `MailRefused` (for good) or `MailUnavailable` (try again later)."""
        ...

    async def ping(self) -> None:
        """Prove that mail can be handed over, at little cost. Raises `MailUnavailable`."""
        ...


class ClientDocuments(Protocol):
    """Reads the metadata documents of applications, from the public internet only."""

    async def read(self, url: str) -> bytes:
        """The document, if it is a small one. Raises `ClientDocumentUnavailable`."""
        ...


@dataclass(frozen=True, slots=True)
class ExternalPerson:
    """Somebody as an identity provider knows them. `subject` is never given to anybody else at that `issuer`."""

    issuer: str
    subject: str
    email: str | None
    email_verified: bool
    first_name: str
    last_name: str


class IdentityProvider(Protocol):
    """Somebody else who knows who people are, by OpenID Connect's code flow.

    Both methods raise `IdentityProviderUnavailable` and `IdentityProviderRefused`, and end in bounded time.
    """

    @property
    def title(self) -> str:
        """What people call it."""
        ...

    async def authorization_url(self, *, callback_url: str, state: str, nonce: str, code_challenge: str) -> str:
        """Where to send a browser, which comes back to `callback_url`. The challenge is of the kind S256 (RFC 7636)."""
        ...

    async def redeem(
        self, code: str, *, issuer: str | None, callback_url: str, nonce: str, code_verifier: str
    ) -> ExternalPerson:
        """Who came back with that code. `issuer` is who sent the browser back, if that was told (RFC 9207)."""
        ...
