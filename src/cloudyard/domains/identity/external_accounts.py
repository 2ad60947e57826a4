"""Whose account it is that somebody known to a provider signs in to: found, linked, or opened.

The decision and what speaks for it: docs/decisions/0008-signing-in-through-openid-connect.md.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import insert, select, update

from cloudyard.domains.audit import AuditLog
from cloudyard.domains.identity import repository
from cloudyard.domains.identity.account_mail import AccountMail
from cloudyard.domains.identity.federation_errors import (
    AccountEmailNotVerified,
    IdentityProviderRefused,
    ProviderEmailNotVerified,
)
from cloudyard.domains.identity.models import external_identities, users
from cloudyard.domains.identity.names import LONGEST_NAME, normal_email
from cloudyard.domains.identity.opening import Opening
from cloudyard.domains.identity.passwords import NO_PASSWORD
from cloudyard.domains.identity.ports import ExternalPerson
from cloudyard.domains.identity.records import Role, User, UserStatus
from cloudyard.domains.identity.session_rows import suspended
from cloudyard.foundation.clock import Clock
from cloudyard.foundation.database import Transaction
from cloudyard.foundation.durable import Outbox
from cloudyard.foundation.ids import Ids

LONGEST_IDENTIFIER = 255


@dataclass(frozen=True, slots=True)
class Admission:
    """The user who is let in, and whether the account was opened just now."""

    user: User
    created: bool


class ExternalAccounts:
    """Finds accounts by who people are elsewhere. A provider's subject belongs to one account for good."""

    def __init__(self, clock: Clock, ids: Ids, outbox: Outbox, audit: AuditLog, mail: AccountMail) -> None:
        self._clock = clock
        self._ids = ids
        self._audit = audit
        self._mail = mail
        self._opening = Opening(clock, ids, outbox, audit)

    async def admit(self, tx: Transaction, provider: str, title: str, person: ExternalPerson) -> Admission:
        """The account that the person signs in to.

        Raises `AccountSuspended`, `ProviderEmailNotVerified`, `AccountEmailNotVerified`, `InvalidEmail`,
        `IdentityProviderRefused`, and SQLAlchemy's IntegrityError where another call was faster: then try again.
        """
        _check_identifiers(person)
        known = await self._known(tx, person)
        if known is not None:
            return Admission(known, created=False)
        email = _proven_email(person, title)
        account = await repository.find_account(tx, users.c.email == email, lock=True)
        if account is None:
            user = await self._open(tx, provider, email, person)
        else:
            user = account.user
            _check_linkable(user, title)
            await self._mail.sign_in_added(tx, user)
        await self._link(tx, provider, person, user)
        return Admission(user, created=account is None)

    async def _known(self, tx: Transaction, person: ExternalPerson) -> User | None:
        """The user whose identity this is, if anybody's."""
        theirs = (external_identities.c.issuer == person.issuer, external_identities.c.subject == person.subject)
        user_id = await tx.scalar(select(external_identities.c.user_id).where(*theirs))
        if user_id is None:
            return None
        user = (await repository.get_account(tx, user_id, lock=True)).user
        if user.status is not UserStatus.ACTIVE:
            raise suspended()
        noted = await tx.execute(update(external_identities).where(*theirs).values(last_used_at=self._clock.now()))
        return user if noted.rowcount == 1 else None  # a takeover may have ended it while we waited for the user

    async def _open(self, tx: Transaction, provider: str, email: str, person: ExternalPerson) -> User:
        columns = {
            "first_name": _tidy_name(person.first_name),
            "last_name": _tidy_name(person.last_name),
            "password_hash": NO_PASSWORD,
        }
        details = {"provider": provider}
        return await self._opening.open(tx, email, Role.USER, columns, verified=True, details=details)

    async def _link(self, tx: Transaction, provider: str, person: ExternalPerson, user: User) -> None:
        now = self._clock.now()
        values: dict[str, Any] = {
            "id": self._ids.new(),
            "user_id": user.id,
            "provider": provider,
            "issuer": person.issuer,
            "subject": person.subject,
            "created_at": now,
            "last_used_at": now,
        }
        await tx.execute(insert(external_identities).values(values))
        details = {"provider": provider, "issuer": person.issuer, "subject": person.subject}
        await self._audit.record(tx, user.id, "identity.linked", f"user:{user.id}", details)


def _check_identifiers(person: ExternalPerson) -> None:
    for value in (person.issuer, person.subject):
        if not 1 <= len(value) <= LONGEST_IDENTIFIER or not repository.storable(value):
            raise IdentityProviderRefused(
                "The provider names this person in a way that cannot be kept (OpenID Connect Core, section 2, allows "
                f"{LONGEST_IDENTIFIER} ASCII characters). Report it to whoever runs the provider."
            )


def _proven_email(person: ExternalPerson, title: str) -> str:
    if not person.email:
        raise ProviderEmailNotVerified(
            f"{title} does not tell your e-mail address, which an account needs. Allow it there to be told, or sign in "
            "with a password."
        )
    if not person.email_verified:
        raise ProviderEmailNotVerified(
            f"{title} does not vouch for your e-mail address. Verify it there and try again, or use a password."
        )
    return normal_email(person.email)


def _check_linkable(user: User, title: str) -> None:
    if user.status is not UserStatus.ACTIVE:
        raise suspended()
    if not user.email_verified:
        raise AccountEmailNotVerified(
            "There is an account with your e-mail address, but nobody has proved yet that it is yours. Choose a new "
            f"password by `forgot password`, which ends every other way in; then sign in with {title}."
        )


def _tidy_name(name: str) -> str:
    """As much of a name as can be kept: a strange one is no reason to turn somebody away."""
    printable = "".join(character if character.isprintable() else " " for character in name)
    return " ".join(printable.split())[:LONGEST_NAME].rstrip()
