"""Asks for the mails that an account needs, and keeps the tokens in their links.

A token is random, stored as a hash with its purpose, address and end, and good for one use.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import structlog
from sqlalchemy import ColumnElement, Row, delete, insert, select

from cloudyard.domains.identity.errors import InvalidLink, MailNotConfigured
from cloudyard.domains.identity.hashing import secret_hash
from cloudyard.domains.identity.letters import Letter, LetterKind, letter_event
from cloudyard.domains.identity.models import mail_tokens
from cloudyard.domains.identity.records import User
from cloudyard.foundation.clock import Clock
from cloudyard.foundation.database import Transaction
from cloudyard.foundation.durable import Event, Outbox
from cloudyard.foundation.ids import Ids
from cloudyard.foundation.secret_box import SecretBox
from cloudyard.foundation.settings.security import SecuritySettings

log = structlog.get_logger(__name__)

PASSWORD_CHANGED = "password.changed"  # noqa: S105 - the name of an event
EMAIL_CHANGED = "email.changed"


class Purpose(StrEnum):
    """What a token is good for. A reset that an administrator handed over says nothing about the address."""

    VERIFY = "verify"
    RESET = "reset"
    HANDED_RESET = "handed_reset"


@dataclass(frozen=True, slots=True)
class Link:
    """The address of a page that works once, until a moment."""

    url: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Redeemed:
    """Whose token it was, what for, and the address that the user had then."""

    user_id: str
    email: str
    purpose: Purpose


RESETS = (Purpose.RESET, Purpose.HANDED_RESET)

_PAGES = {Purpose.VERIFY: "verify-email", **dict.fromkeys(RESETS, "reset-password")}
_LETTERS = {Purpose.VERIFY: LetterKind.VERIFY, Purpose.RESET: LetterKind.RESET}
_REDEEMED = (mail_tokens.c.user_id, mail_tokens.c.email, mail_tokens.c.purpose)


class AccountMail:
    """Writes mail requests into the outbox.

    Links are `<link_base>/verify-email?token=...` and `<link_base>/reset-password?token=...`. Where mail is not
    `available`, what cannot be done without is refused, and what only tells somebody something is left out.
    """

    def __init__(
        self,
        outbox: Outbox,
        clock: Clock,
        ids: Ids,
        box: SecretBox,
        settings: SecuritySettings,
        *,
        link_base: str,
        available: bool = True,
    ) -> None:
        self._outbox = outbox
        self._clock = clock
        self._ids = ids
        self._box = box
        self._link_base = link_base.rstrip("/")
        self._available = available
        self._verified_only = settings.require_verified_email
        self._lives = {
            Purpose.VERIFY: timedelta(seconds=settings.verification_token_seconds),
            **dict.fromkeys(RESETS, timedelta(seconds=settings.reset_token_seconds)),
        }

    def require(self) -> None:
        """Refuse what cannot be done without mail. Raises `MailNotConfigured`."""
        if not self._available:
            log.warning("refused for want of mail", advice='set mail.backend to "smtp" and the settings beside it')
            raise MailNotConfigured(
                "This installation sends no mail, so it cannot send the link that this needs. Ask its administrator, "
                "who can set mail.backend."
            )

    async def verification(self, tx: Transaction, user: User) -> None:
        """Ask the user to verify the address.

        Raises `MailNotConfigured` where nobody may log in without that and no mail can be sent.
        """
        if self._verified_only:
            self.require()
        if not self._available:
            return
        await self._send_link(tx, Purpose.VERIFY, user.email, user)

    async def password_reset(self, tx: Transaction, email: str, user: User | None) -> None:
        """Offer a new password. Without a user the same is done but for the sending, so that it takes as long.

        Raises `MailNotConfigured`.
        """
        self.require()
        await self._send_link(tx, Purpose.RESET, email, user)

    async def password_changed(self, tx: Transaction, user: User) -> None:
        """Tell the user that the password is another now, and report it (`password.changed`)."""
        await self._outbox.emit(tx, _changed(PASSWORD_CHANGED, user))
        await self._tell(tx, user, LetterKind.PASSWORD_CHANGED, user.email)

    async def sign_in_added(self, tx: Transaction, user: User) -> None:
        """Tell the user that an identity provider opens the account now."""
        await self._tell(tx, user, LetterKind.SIGN_IN_ADDED, user.email)

    async def email_changed(self, tx: Transaction, user: User, old_email: str) -> None:
        """Tell the former address that it is no longer used, and report the change (`email.changed`)."""
        await self._outbox.emit(tx, _changed(EMAIL_CHANGED, user))
        await self._tell(tx, user, LetterKind.ADDRESS_CHANGED, old_email)

    async def peek(self, tx: Transaction, token: str, *purposes: Purpose) -> Redeemed:
        """Whose token it is, without using it. Raises `InvalidLink`."""
        return _redeemed(await tx.first(select(*_REDEEMED).where(*self._good(token, purposes))))

    async def redeem(self, tx: Transaction, token: str, *purposes: Purpose) -> Redeemed:
        """Use a token; of any number of tries at once, one succeeds. Raises `InvalidLink`."""
        used = delete(mail_tokens).where(*self._good(token, purposes)).returning(*_REDEEMED)
        return _redeemed((await tx.execute(used)).first())

    async def void(self, tx: Transaction, user_id: str, *purposes: Purpose) -> None:
        """Make a user's outstanding tokens useless."""
        await tx.execute(
            delete(mail_tokens).where(mail_tokens.c.user_id == user_id, mail_tokens.c.purpose.in_(purposes))
        )

    async def _tell(self, tx: Transaction, user: User, kind: LetterKind, address: str) -> None:
        if self._available:
            await self._outbox.emit(tx, letter_event(self._box, _subject(user, address), Letter(kind, address)))

    async def reset_link(self, tx: Transaction, user: User) -> Link:
        """The address at which the user may choose a new password, to be handed over by other means than a mail."""
        return await self._new_link(tx, Purpose.HANDED_RESET, user.email, user)

    async def _send_link(self, tx: Transaction, purpose: Purpose, email: str, user: User | None) -> None:
        link = await self._new_link(tx, purpose, email, user)
        letter = Letter(_LETTERS[purpose], email if user else None, link.url, link.expires_at)
        await self._outbox.emit(tx, letter_event(self._box, _subject(user, email), letter))

    async def _new_link(self, tx: Transaction, purpose: Purpose, email: str, user: User | None) -> Link:
        token, now = self._ids.token(), self._clock.now()
        expires_at = now + self._lives[purpose]
        await tx.execute(
            insert(mail_tokens).values(
                id=self._ids.new(),
                user_id=user.id if user else None,
                purpose=purpose.value,
                email=email,
                token_hash=secret_hash(token),
                created_at=now,
                expires_at=expires_at,
            )
        )
        return Link(f"{self._link_base}/{_PAGES[purpose]}?token={token}", expires_at)

    def _good(self, token: str, purposes: Sequence[Purpose]) -> tuple[ColumnElement[bool], ...]:
        table = mail_tokens
        return (
            table.c.token_hash == secret_hash(token),
            table.c.purpose.in_([purpose.value for purpose in purposes]),
            table.c.expires_at > self._clock.now(),
            table.c.user_id.is_not(None),
        )


def _changed(kind: str, user: User) -> Event:
    return Event(kind, f"user:{user.id}", {"user_id": user.id})


def _subject(user: User | None, email: str) -> str:
    return f"user:{user.id}" if user else f"address:{secret_hash(email)}"


def _redeemed(row: Row[Any] | None) -> Redeemed:
    if row is None:
        raise InvalidLink(
            "This link is not valid: it was used before, has expired, or the account has changed since. "
            "Ask for a new one.",
            field="token",
        )
    return Redeemed(row.user_id, row.email, Purpose(row.purpose))
