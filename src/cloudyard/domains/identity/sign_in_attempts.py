"""Rows of sign-ins under way: a browser at its provider, and the code that an app gets for who came back."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Row, Table, delete, insert

from cloudyard.domains.identity.hashing import code_challenge, secret_hash
from cloudyard.domains.identity.models import sign_in_attempts, sign_in_codes
from cloudyard.foundation.clock import Clock
from cloudyard.foundation.database import Transaction
from cloudyard.foundation.ids import Ids
from cloudyard.foundation.secret_box import SecretBox

ATTEMPT_LIFE = timedelta(minutes=10)
CODE_LIFE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Wish:
    """What an app asks for: its user signed in and sent back to `redirect_uri`, with its own `state` if it gave one.

    `challenge` (RFC 7636, S256) binds the code that it gets to whoever has the verifier. `callback_url` is where the
    provider sends the browser.
    """

    redirect_uri: str
    callback_url: str
    state: str | None = None
    challenge: str | None = None


@dataclass(frozen=True, slots=True)
class Departure:
    """Where to send a browser. It must keep `secret` until it comes back with `state`, for `seconds` at most."""

    url: str
    state: str
    secret: str
    seconds: int


class Secrets(msgspec.Struct, frozen=True):
    """What only we know until the browser is back."""

    nonce: str
    code_verifier: str

    @property
    def challenge(self) -> str:
        """What the provider is told of the verifier."""
        return code_challenge(self.code_verifier)


@dataclass(frozen=True, slots=True)
class Attempt:
    """A sign-in that came back. Until it is complete nothing is known of the person."""

    provider: str
    wish: Wish
    secrets: Secrets
    browser_hash: str
    expires_at: datetime


class SignInAttempts:
    """Keeps attempts and codes, each good once. Of states, browsers' secrets and codes only hashes are kept."""

    def __init__(self, clock: Clock, ids: Ids, box: SecretBox) -> None:
        self._clock = clock
        self._ids = ids
        self._box = box

    def new_secrets(self) -> Secrets:
        """A nonce and a verifier."""
        return Secrets(nonce=self._ids.token(), code_verifier=self._ids.token())

    async def add(
        self, tx: Transaction, provider: str, wish: Wish, secrets: Secrets, *, state: str, browser: str
    ) -> None:
        """Begin an attempt."""
        await tx.execute(
            insert(sign_in_attempts).values(
                state_hash=secret_hash(state),
                browser_hash=secret_hash(browser),
                provider=provider,
                sealed_secrets=self._box.encrypt(msgspec.json.encode(secrets).decode()),
                callback_url=wish.callback_url,
                redirect_uri=wish.redirect_uri,
                app_state=wish.state,
                app_challenge=wish.challenge,
                expires_at=self._clock.now() + ATTEMPT_LIFE,
            )
        )

    async def take(self, tx: Transaction, state: str) -> Attempt | None:
        """The attempt of a state, which is used up; None if there is none (any more)."""
        row = await _taken(tx, sign_in_attempts, sign_in_attempts.c.state_hash == secret_hash(state))
        if row is None:
            return None
        return Attempt(
            provider=row.provider,
            wish=Wish(row.redirect_uri, row.callback_url, row.app_state, row.app_challenge),
            secrets=msgspec.json.decode(self._box.decrypt(row.sealed_secrets), type=Secrets),
            browser_hash=row.browser_hash,
            expires_at=row.expires_at,
        )

    async def add_code(self, tx: Transaction, user_id: str, challenge: str | None) -> str:
        """A code for a session of that user."""
        code = self._ids.token()
        await tx.execute(
            insert(sign_in_codes).values(
                code_hash=secret_hash(code),
                user_id=user_id,
                app_challenge=challenge,
                expires_at=self._clock.now() + CODE_LIFE,
            )
        )
        return code

    async def take_code(self, tx: Transaction, code: str, verifier: str | None) -> str | None:
        """The user of a code, which is used up by any try; None if it is unknown, too old, or another app's."""
        row = await _taken(tx, sign_in_codes, sign_in_codes.c.code_hash == secret_hash(code))
        if row is None or row.expires_at <= self._clock.now():
            return None
        challenge = code_challenge(verifier) if verifier is not None else None
        return str(row.user_id) if row.app_challenge == challenge else None


async def forget_past(tx: Transaction, now: datetime) -> None:
    """Delete what is past its time."""
    for table in (sign_in_attempts, sign_in_codes):
        await tx.execute(delete(table).where(table.c.expires_at < now))


async def _taken(tx: Transaction, table: Table, where: ColumnElement[bool]) -> Row[Any] | None:
    return (await tx.execute(delete(table).where(where).returning(*table.c))).first()
