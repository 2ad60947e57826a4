"""The ways back into an account, and to a new password: by mail, or with the present password."""

from functools import partial

from sqlalchemy import ColumnElement

from cloudyard.domains.audit import AuditLog
from cloudyard.domains.identity import repository
from cloudyard.domains.identity.account_mail import RESETS, AccountMail, Link, Purpose, Redeemed
from cloudyard.domains.identity.credential_cache import CredentialCache
from cloudyard.domains.identity.errors import InvalidLink, WeakPassword, WrongPassword
from cloudyard.domains.identity.hashing import secret_hash
from cloudyard.domains.identity.models import sessions, users
from cloudyard.domains.identity.names import normal_email
from cloudyard.domains.identity.passwords import Passwords
from cloudyard.domains.identity.records import User
from cloudyard.foundation.clock import Clock
from cloudyard.foundation.database import Database, Transaction


class Recovery:
    """E-mail verification, forgotten, reset and changed passwords."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        audit: AuditLog,
        passwords: Passwords,
        mail: AccountMail,
        cache: CredentialCache,
    ) -> None:
        self._database = database
        self._clock = clock
        self._audit = audit
        self._passwords = passwords
        self._mail = mail
        self._cache = cache

    async def send_verification(self, user_id: str) -> None:
        """Send another verification mail, unless the address is verified.

        Raises `UserNotFound`, `MailNotConfigured`.
        """
        async with self._database.transaction() as tx:
            user = (await repository.get_account(tx, user_id)).user
            if not user.email_verified:
                self._mail.require()
                await self._mail.verification(tx, user)

    async def verify_email(self, token: str) -> User:
        """Mark the address as verified that the token was sent to. Raises `InvalidLink`."""
        async with self._database.transaction() as tx:
            redeemed = await self._mail.redeem(tx, token, Purpose.VERIFY)
            account = await repository.find_account(tx, _still(redeemed), lock=True)
            if account is None:
                raise InvalidLink("This link was for a former e-mail address. Ask for a new one.", field="token")
            await self._mail.void(tx, redeemed.user_id, Purpose.VERIFY)
            await self._audit.record(tx, redeemed.user_id, "email.verified", f"user:{redeemed.user_id}")
            return await repository.change_user(tx, redeemed.user_id, email_verified=True, updated_at=self._clock.now())

    async def forgot_password(self, email: str) -> None:
        """Send a reset link, if there is such a user. Nothing tells whether: answer and work are the same.

        Raises `InvalidEmail` for what is no address at all, `MailNotConfigured` where no mail is sent.
        """
        address = normal_email(email)
        async with self._database.transaction() as tx:
            account = await repository.find_account(tx, users.c.email == address)
            user = account.user if account else None
            subject = f"user:{user.id}" if user else f"address:{secret_hash(address)}"
            await self._mail.password_reset(tx, address, user)
            await self._audit.record(tx, None, "password.reset_requested", subject)

    async def reset_link(self, user_id: str, *, actor: str | None = None) -> Link:
        """A link that an administrator hands to a user who forgot the password, where no mail reaches that user.

        `actor` is the administrator, None for the command line. Raises `UserNotFound`.
        """
        async with self._database.transaction() as tx:
            user = (await repository.get_account(tx, user_id)).user
            await self._audit.record(tx, actor, "password.reset_link_made", f"user:{user_id}")
            return await self._mail.reset_link(tx, user)

    async def reset_password(self, token: str, new_password: str) -> User:
        """Set a new password with the token of a reset link, and end all sessions.

        Opening a mail proved the address, so it counts as verified. Where nobody had proved it before, somebody else
        may have opened the account in wait for its owner: then API keys and identities at providers end too.
        Raises `InvalidLink`, `WeakPassword`.
        """
        async with self._database.reading() as tx:
            redeemed = await self._mail.peek(tx, token, *RESETS)
        self._passwords.check(new_password, email=redeemed.email, field="new_password")
        password_hash = await self._passwords.hash(new_password)
        async with self._database.transaction() as tx:
            redeemed = await self._mail.redeem(tx, token, *RESETS)
            account = await repository.find_account(tx, _still(redeemed), lock=True)
            if account is None:
                raise InvalidLink("This link was for a former e-mail address. Ask for a new one.", field="token")
            proven = {"email_verified": True} if redeemed.purpose is Purpose.RESET else {}
            if proven and not account.user.email_verified:
                await self._end_other_ways_in(tx, redeemed.user_id)
            return await self._apply(tx, account, password_hash, action="password.reset", keep=None, **proven)

    async def change_password(
        self, user_id: str, current: str, new_password: str, keep_session: str | None = None
    ) -> None:
        """Set a new password, knowing the present one, and end all sessions but one.

        Raises `UserNotFound`, `WrongPassword`, `WeakPassword`.
        """
        async with self._database.reading() as tx:
            account = await repository.get_account(tx, user_id)
        right, _ = await self._passwords.verify(current, account.password_hash)
        if not right:
            raise _wrong_password()
        self._passwords.check(new_password, email=account.user.email, field="new_password")
        if new_password == current:
            raise WeakPassword("The new password is the present one: choose another.", field="new_password")
        password_hash = await self._passwords.hash(new_password)
        async with self._database.transaction() as tx:
            present = await repository.get_account(tx, user_id, lock=True)
            if present.password_hash != account.password_hash:
                raise _wrong_password()  # somebody else was faster; nothing may be overwritten
            await self._apply(tx, present, password_hash, action="password.changed", keep=keep_session)

    async def _end_other_ways_in(self, tx: Transaction, user_id: str) -> None:
        keys, identities = await repository.end_other_ways_in(tx, user_id, now=self._clock.now())
        details = {"api_keys": keys, "identities": identities}
        await self._audit.record(tx, user_id, "email.proven_first", f"user:{user_id}", details)

    async def _apply(
        self,
        tx: Transaction,
        account: repository.Account,
        password_hash: str,
        *,
        action: str,
        keep: str | None,
        **columns: object,
    ) -> User:
        user_id, now = account.user.id, self._clock.now()
        others = sessions.c.user_id == user_id
        if keep is not None:
            others = others & (sessions.c.id != keep)
        user = await repository.change_user(tx, user_id, password_hash=password_hash, updated_at=now, **columns)
        ended = await repository.end_sessions(tx, others, now=now, reason=action)
        await repository.void_sign_in_codes(tx, user_id)
        await self._mail.void(tx, user_id, *RESETS)
        await self._mail.password_changed(tx, user)
        await self._audit.record(tx, user_id, action, f"user:{user_id}", {"sessions_ended": len(ended)})
        tx.after_commit(partial(self._cache.forget, user_id))
        return user


def _still(redeemed: Redeemed) -> ColumnElement[bool]:
    """The user still has the address that the token was sent to."""
    return (users.c.id == redeemed.user_id) & (users.c.email == redeemed.email)


def _wrong_password() -> WrongPassword:
    return WrongPassword(
        "The current password is wrong. Check it, or ask for a reset by mail.", field="current_password"
    )
