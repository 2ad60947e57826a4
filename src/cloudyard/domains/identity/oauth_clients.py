"""Applications that may ask users to be let in: registered by themselves, or described where their id leads.

All are public clients: an application on somebody's machine keeps no secret, and PKCE is what ties a code to it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated
from urllib.parse import urlsplit

import msgspec
from sqlalchemy import delete, insert, select, update

from cloudyard.domains.identity import repository
from cloudyard.domains.identity.delegation_models import delegations, oauth_clients
from cloudyard.domains.identity.errors import InvalidProfile
from cloudyard.domains.identity.models import sessions
from cloudyard.domains.identity.names import LONGEST_NAME, tidy_text
from cloudyard.domains.identity.oauth_errors import InvalidClient, InvalidClientMetadata
from cloudyard.domains.identity.ports import ClientDocuments
from cloudyard.domains.identity.redirect_uris import checked_redirect_uris
from cloudyard.foundation.clock import Clock
from cloudyard.foundation.database import Database
from cloudyard.foundation.ids import Ids

PUBLIC = "none"
LONGEST_URL = 2048
FORGOTTEN_AFTER = timedelta(days=90)
"""So long a registration is kept that nobody uses: an application registers anew when it is told that it is unknown."""
UNUSED_FORGOTTEN_AFTER = timedelta(days=1)
REMEMBERED_FOR = timedelta(minutes=5)
MOST_REMEMBERED = 256


@dataclass(frozen=True, slots=True)
class OAuthClient:
    """An application. `name` is what it calls itself; `host` vouches for it, None where nobody does."""

    id: str
    name: str
    redirect_uris: tuple[str, ...]
    created_at: datetime
    host: str | None = None


class _Document(msgspec.Struct, frozen=True):
    """A client ID metadata document (draft-ietf-oauth-client-id-metadata-document, section 4)."""

    client_id: Annotated[str, msgspec.Meta(max_length=LONGEST_URL)]
    redirect_uris: list[str]
    client_name: str | None = None
    token_endpoint_auth_method: str = PUBLIC


class OAuthClients:
    """Knows applications. What was registered and then never used is forgotten after a day."""

    def __init__(self, database: Database, clock: Clock, ids: Ids, documents: ClientDocuments) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids
        self._documents = documents
        self._read: dict[str, OAuthClient] = {}  # oldest first

    async def register(self, name: str | None, redirect_uris: Iterable[str]) -> OAuthClient:
        """Take in an application (RFC 7591). Raises `InvalidRedirectUri`, `InvalidClientMetadata`."""
        now = self._clock.now()
        client = OAuthClient(self._ids.new(), _checked_name(name), checked_redirect_uris(redirect_uris), now)
        values = {
            "id": client.id,
            "name": client.name,
            "redirect_uris": list(client.redirect_uris),
            "created_at": now,
            "last_used_at": now,
        }
        async with self._database.transaction() as tx:
            await tx.execute(insert(oauth_clients).values(**values))
        return client

    async def find(self, client_id: str) -> OAuthClient:
        """The application of that id: a registered one, or what the document says that the id is the address of.

        Raises `InvalidClient`, `InvalidRedirectUri`, `InvalidClientMetadata`, `ClientDocumentUnavailable`.
        """
        if client_id.startswith("https://"):
            return await self._described(client_id)
        async with self._database.reading() as tx:
            row = await tx.first(select(oauth_clients).where(oauth_clients.c.id == _storable(client_id)))
        if row is None:
            raise InvalidClient(
                "There is no such client. Register it anew (or clear what your application remembers of this server).",
                field="client_id",
            )
        return OAuthClient(row.id, row.name, tuple(row.redirect_uris), row.created_at)

    async def used(self, client_id: str) -> None:
        """Note that somebody let the application in."""
        now = self._clock.now()
        noted = update(oauth_clients).where(oauth_clients.c.id == _storable(client_id)).values(last_used_at=now)
        async with self._database.transaction() as tx:
            await tx.execute(noted)

    async def prune(self) -> None:
        """Forget registrations that nobody uses. One that acts for a user stays, however long ago it was let in."""
        now, table = self._clock.now(), oauth_clients
        never_used = (table.c.last_used_at == table.c.created_at) & (table.c.created_at < now - UNUSED_FORGOTTEN_AFTER)
        unused = never_used | (table.c.last_used_at < now - FORGOTTEN_AFTER)
        acting = (
            select(delegations.c.client_id)
            .join(sessions, sessions.c.id == delegations.c.session_id)
            .where(sessions.c.ended_at.is_(None), sessions.c.expires_at > now)
        )
        async with self._database.transaction() as tx:
            await tx.execute(delete(table).where(unused, table.c.id.not_in(acting)))

    async def _described(self, url: str) -> OAuthClient:
        known = self._read.get(url)
        if known is not None and known.created_at > self._clock.now() - REMEMBERED_FOR:
            return known
        host = _checked_url(url)
        document = _document(await self._documents.read(url), url)
        uris = checked_redirect_uris(document.redirect_uris)
        client = OAuthClient(url, _checked_name(document.client_name), uris, self._clock.now(), host)
        self._read.pop(url, None)
        if len(self._read) >= MOST_REMEMBERED:
            del self._read[next(iter(self._read))]
        self._read[url] = client
        return client


def _document(raw: bytes, url: str) -> _Document:
    try:
        document = msgspec.json.decode(raw, type=_Document)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidClientMetadata(f"The document at {url} is no client metadata: {error}.") from error
    if document.client_id != url:
        raise InvalidClientMetadata(f"The document at {url} is another client's: its client_id must be its address.")
    if document.token_endpoint_auth_method != PUBLIC:
        raise InvalidClientMetadata(
            "Only public clients are served here: leave `token_endpoint_auth_method` out, or make it `none`."
        )
    return document


def _checked_url(url: str) -> str:
    """The host of a client's address (section 3 of the draft). Raises `InvalidClient`."""
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError as error:
        raise _no_address() from error
    segments = parts.path.split("/")
    plain = url.isascii() and url.isprintable() and " " not in url and len(url) <= LONGEST_URL
    if not plain or not host or parts.username is not None or "#" in url or parts.path in ("", "/"):
        raise _no_address()
    if "." in segments or ".." in segments:
        raise _no_address()
    return host


def _checked_name(name: str | None) -> str:
    try:
        return tidy_text(name or "", field="client_name", longest=LONGEST_NAME) or "An application without a name"
    except InvalidProfile as error:
        raise InvalidClientMetadata(error.message, field="client_name") from error


def _storable(client_id: str) -> str:
    return client_id if len(client_id) <= LONGEST_URL and repository.storable(client_id) else ""


def _no_address() -> InvalidClient:
    return InvalidClient(
        "A client_id that is an address must be https, with a host and a path, without a fragment or a user name.",
        field="client_id",
    )
