"""Users: registration, profiles, and what administrators do with accounts."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any, Unpack

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.exc import IntegrityError

from cloudyard.domains.audit import AuditLog
from cloudyard.domains.identity import repository
from cloudyard.domains.identity.account_mail import AccountMail
from cloudyard.domains.identity.credential_cache import CredentialCache
from cloudyard.domains.identity.errors import (
    EmailTaken,
    InvalidEmail,
    LastAdmin,
    RoleNotAllowed,
    UsernameTaken,
    UserNotFound,
)
from cloudyard.domains.identity.models import sessions, users
from cloudyard.domains.identity.names import normal_email
from cloudyard.domains.identity.opening import Opening, user_event
from cloudyard.domains.identity.passwords import Passwords
from cloudyard.domains.identity.profile import ProfileChanges, profile_columns
from cloudyard.domains.identity.records import Role, User, UserOrder, UserStatus
from cloudyard.foundation.clock import Clock
from cloudyard.foundation.database import Database, Transaction
from cloudyard.foundation.durable import Outbox
from cloudyard.foundation.errors import DomainError
from cloudyard.foundation.ids import Ids

USER_UPDATED = "user.updated"
LARGEST_PAGE = 200


class Users:
    """The accounts. Every change reports itself by an event (`user.created`, `user.updated`, subject `user:<id>`)."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        ids: Ids,
        outbox: Outbox,
        audit: AuditLog,
        passwords: Passwords,
        mail: AccountMail,
        cache: CredentialCache,
    ) -> None:
        self._database = database
        self._clock = clock
        self._outbox = outbox
        self._audit = audit
        self._opening = Opening(clock, ids, outbox, audit)
        self._passwords = passwords
        self._mail = mail
        self._cache = cache

    async def register(
        self, *, email: str, password: str, role: Role = Role.USER, **profile: Unpack[ProfileChanges]
    ) -> User:
        """Open an account and ask for the verification of its address.

        Raises `InvalidEmail`, `WeakPassword`, `InvalidProfile`, `RoleNotAllowed`, `EmailTaken`, `UsernameTaken`, and
        `MailNotConfigured` where only verified addresses may log in and no mail is sent.
        """
        if role is Role.ADMIN:
            raise RoleNotAllowed(
                "Nobody can register as an administrator. Register as a user and ask an administrator.", field="role"
            )
        return await self._create(email, password, role, profile_columns(profile))

    async def ensure_admin(self, email: str, password: str) -> bool:
        """Create the first administrator, with a verified address; False if the account exists, which stays as it is.

        Raises `EmailTaken` if the account that exists is no administrator, `InvalidEmail`, `WeakPassword`.
        """
        try:
            await self._create(email, password, Role.ADMIN, profile_columns({"name": "Administrator"}))
        except EmailTaken:
            present = await self.find_by_email(email)
            if present is None or present.role is not Role.ADMIN:
                raise
            return False
        return True

    async def get(self, user_id: str) -> User:
        """The user of that id. Raises `UserNotFound`."""
        async with self._database.reading() as tx:
            return (await repository.get_account(tx, user_id)).user

    async def find(self, identifier: str) -> User:
        """The user of that id, username or e-mail address. Raises `UserNotFound`."""
        key = identifier.lower()
        named = or_(users.c.id == identifier, users.c.username_key == key, users.c.email == key)
        async with self._database.reading() as tx:
            account = await repository.find_account(tx, named) if repository.storable(identifier) else None
        if account is None:
            raise UserNotFound(
                f"There is no user {identifier!r}. Give an id, a username or an e-mail address of a user there is."
            )
        return account.user

    async def find_by_email(self, email: str) -> User | None:
        """The user with that address, however it is written."""
        try:
            address = normal_email(email)
        except InvalidEmail:
            return None
        async with self._database.reading() as tx:
            account = await repository.find_account(tx, users.c.email == address)
        return account.user if account else None

    async def update_profile(
        self, user_id: str, *, email: str | None = None, **changes: Unpack[ProfileChanges]
    ) -> User:
        """Change a profile. Another address is unverified until its owner opens the link sent to it.

        Raises `UserNotFound`, `InvalidEmail`, `InvalidProfile`, `EmailTaken`, `UsernameTaken`.
        """
        address = normal_email(email) if email is not None else None
        try:
            async with self._database.transaction() as tx:
                before = (await repository.get_account(tx, user_id, lock=True)).user
                columns = profile_columns(changes, present_name=(before.first_name, before.last_name))
                if address is not None and address != before.email:
                    columns |= {"email": address, "email_verified": False}
                user = await self._write(tx, before, columns, actor=user_id)
                if user.email != before.email:
                    await self._readdress(tx, user, before.email)
        except IntegrityError as error:
            raise await self._taken(address, changes.get("username"), error, except_id=user_id) from error
        return user

    async def set_role(self, user_id: str, role: Role, *, actor: str | None = None) -> User:
        """Give a user another role, effective at once. `actor` is the administrator's id, None for the platform.

        Raises `UserNotFound`, `LastAdmin`.
        """
        async with self._database.transaction() as tx:
            return await self.administer(tx, user_id, role=role, actor=actor)

    async def set_status(self, user_id: str, status: UserStatus, *, actor: str | None = None) -> User:
        """Suspend or reinstate a user. Suspension ends all sessions, and keys fail at once.

        Raises `UserNotFound`, `LastAdmin`.
        """
        async with self._database.transaction() as tx:
            return await self.administer(tx, user_id, status=status, actor=actor)

    async def administer(
        self,
        tx: Transaction,
        user_id: str,
        *,
        role: Role | None = None,
        status: UserStatus | None = None,
        actor: str | None = None,
    ) -> User:
        """`set_role` and `set_status` inside the transaction of somebody who changes more; None leaves it as it is.

        Raises `UserNotFound`, `LastAdmin`.
        """
        if role not in (None, Role.ADMIN) or status is UserStatus.SUSPENDED:
            await _keep_an_admin(tx, user_id)
        before = (await repository.get_account(tx, user_id, lock=True)).user
        wanted = {"role": role, "status": status}
        columns = {name: value.value for name, value in wanted.items() if value is not None}
        if not columns:
            return before
        user = await self._write(tx, before, columns, actor=actor)
        if status is UserStatus.SUSPENDED:
            await repository.end_sessions(tx, sessions.c.user_id == user_id, now=self._clock.now(), reason="suspended")
            await repository.void_sign_in_codes(tx, user_id)
        tx.after_commit(partial(self._cache.forget, user_id))
        return user

    async def list(
        self,
        *,
        role: Role | None = None,
        status: UserStatus | None = None,
        search: str | None = None,
        order: UserOrder = UserOrder.CREATED_AT,
        descending: bool = True,
        limit: int = 20,
        offset: int = 0,
    ) -> Sequence[User]:
        """Users that match, newest first, at most 200 a page. `search` looks into address, username and names."""
        query = select(users).where(*_matching(role, status, search))
        page = query.order_by(*_ordered(order, descending)).limit(min(limit, LARGEST_PAGE))
        async with self._database.reading() as tx:
            return [repository.user_of(row) for row in await tx.all(page.offset(offset))]

    async def count(
        self,
        *,
        role: Role | None = None,
        status: UserStatus | None = None,
        search: str | None = None,
        since: datetime | None = None,
    ) -> int:
        """How many users match; with `since`, of those whose account was opened then or later."""
        query = select(func.count()).select_from(users).where(*_matching(role, status, search))
        if since is not None:
            query = query.where(users.c.created_at >= since)
        async with self._database.reading() as tx:
            return int(await tx.scalar(query))

    async def _create(self, email: str, password: str, role: Role, columns: dict[str, Any]) -> User:
        address = normal_email(email)
        self._passwords.check(password, email=address)
        refusal = await self._clash(address, columns.get("username_key"))
        if refusal is not None:
            raise refusal
        columns = {"first_name": "", "last_name": ""} | columns
        columns["password_hash"] = await self._passwords.hash(password)
        try:
            async with self._database.transaction() as tx:
                return await self._insert(tx, address, role, columns)
        except IntegrityError as error:
            raise await self._taken(address, columns.get("username"), error) from error

    async def _insert(self, tx: Transaction, email: str, role: Role, columns: dict[str, Any]) -> User:
        trusted = role is Role.ADMIN
        user = await self._opening.open(tx, email, role, columns, verified=trusted)
        if not trusted:
            await self._mail.verification(tx, user)
        return user

    async def _write(self, tx: Transaction, before: User, columns: dict[str, Any], *, actor: str | None) -> User:
        changed = {name: value for name, value in columns.items() if getattr(before, name, value) != value}
        user = await repository.change_user(tx, before.id, **columns, updated_at=self._clock.now())
        await self._outbox.emit(tx, user_event(USER_UPDATED, user))
        shown = {name: value for name, value in changed.items() if name in ("role", "status")}
        details = {"fields": sorted(changed), **shown}
        await self._audit.record(tx, actor, USER_UPDATED, f"user:{user.id}", details)
        return user

    async def _readdress(self, tx: Transaction, user: User, old_email: str) -> None:
        """Tell both addresses. Links sent to the former one are refused from now on, as not the user's address."""
        await self._mail.verification(tx, user)
        await self._mail.email_changed(tx, user, old_email)

    async def _taken(
        self, email: str | None, username: str | None, error: IntegrityError, *, except_id: str | None = None
    ) -> Exception:
        """What the database refused: the address, the username, or something unforeseen."""
        clash = await self._clash(email, username.lower() if username else None, except_id=except_id)
        return clash or error

    async def _clash(
        self, email: str | None, username_key: str | None, *, except_id: str | None = None
    ) -> DomainError | None:
        async with self._database.reading() as tx:
            if email is not None and await _holder(tx, users.c.email == email) not in (None, except_id):
                return EmailTaken("Another account has this e-mail address. Log in, or use another.", field="email")
            if username_key is not None and await _holder(tx, users.c.username_key == username_key) not in (
                None,
                except_id,
            ):
                return UsernameTaken("Another account has this username. Choose another.", field="username")
        return None


async def _holder(tx: Transaction, where: ColumnElement[bool]) -> str | None:
    holder: str | None = await tx.scalar(select(users.c.id).where(where))
    return holder


async def _keep_an_admin(tx: Transaction, user_id: str) -> None:
    """Refuse to lose the last active administrator; two that demote each other at once wait for each other here."""
    active = (users.c.role == Role.ADMIN.value, users.c.status == UserStatus.ACTIVE.value)
    rows = await tx.all(select(users.c.id).where(*active).order_by(users.c.id).with_for_update())
    if [row.id for row in rows] == [user_id]:
        raise LastAdmin(
            "This is the only active administrator. Make another user an administrator first.",
            details={"user_id": user_id},
        )


def _matching(role: Role | None, status: UserStatus | None, search: str | None) -> Sequence[ColumnElement[bool]]:
    wanted: list[ColumnElement[bool]] = []
    if role is not None:
        wanted.append(users.c.role == role.value)
    if status is not None:
        wanted.append(users.c.status == status.value)
    if search:
        term = "".join(filter(repository.storable, search)).lower()
        columns = (users.c.email, users.c.username_key, users.c.first_name, users.c.last_name)
        wanted.append(or_(*(func.lower(column).contains(term, autoescape=True) for column in columns)))
    return wanted


def _ordered(order: UserOrder, descending: bool) -> Sequence[ColumnElement[Any]]:
    active = func.coalesce(users.c.last_active_at, users.c.created_at)
    column = active if order is UserOrder.LAST_ACTIVE_AT else users.c[order.value]
    columns = (column, users.c.id)
    return [each.desc() if descending else each.asc() for each in columns]
