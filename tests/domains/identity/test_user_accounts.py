"""Registration, profiles, and what administrators do with accounts."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import select

from cloudyard.domains.identity import (
    USER_CREATED,
    USER_UPDATED,
    AccountSuspended,
    EmailTaken,
    InvalidEmail,
    InvalidLink,
    InvalidProfile,
    InvalidToken,
    LastAdmin,
    Role,
    RoleNotAllowed,
    User,
    UsernameTaken,
    UserNotFound,
    UserStatus,
    WeakPassword,
)
from cloudyard.domains.identity.models import users
from cloudyard.foundation.database import Database
from cloudyard.foundation.durable import Delivered, Outbox
from cloudyard.foundation.errors import DomainError
from cloudyard.testing.clock import ManualClock
from cloudyard.testing.identity import IdentityParts

ADMIN = ("root@example.com", "admin password")


class Listener:
    """Keeps the events about users."""

    name = "listener"
    kinds = frozenset({USER_CREATED, USER_UPDATED})

    def __init__(self) -> None:
        self.heard: list[Delivered] = []

    async def handle(self, event: Delivered) -> None:
        self.heard.append(event)


@pytest.fixture
def listener(outbox: Outbox) -> Listener:
    listener = Listener()
    outbox.subscribe(listener)
    return listener


async def _stored(database: Database) -> list[Any]:
    async with database.reading() as tx:
        return await tx.all(select(users))


async def test_registration(
    identity: IdentityParts, listener: Listener, database: Database, clock: ManualClock
) -> None:
    user = await identity.users.register(
        email="Ada@Example.com",
        password="correct horse",
        first_name="Ada",
        last_name="Lovelace",
        username="Ada_L",
        company=" Analytical  Engines ",
        role=Role.NODE_OPERATOR,
    )
    assert user == await identity.users.get(user.id)
    assert user == await identity.users.find_by_email("ADA@example.com")
    assert (user.email, user.username, user.name) == ("ada@example.com", "Ada_L", "Ada Lovelace")
    assert (user.company, user.role, user.status) == ("Analytical Engines", Role.NODE_OPERATOR, UserStatus.ACTIVE)
    assert (user.email_verified, user.created_at, user.last_active_at) == (False, clock.now(), None)
    (row,) = await _stored(database)
    assert row.password_hash.startswith("$argon2id$")

    (mail,) = await identity.mails("ada@example.com")
    assert mail["Subject"] == "Verify your e-mail address"
    (event,) = listener.heard
    assert (event.kind, event.subject) == (USER_CREATED, f"user:{user.id}")
    assert event.payload["email"] == "ada@example.com"
    assert "password" not in str(event.payload)
    (entry,) = await identity.audit.list(subject=f"user:{user.id}")
    assert (entry.action, entry.actor) == ("user.created", user.id)


async def test_a_taken_address_or_username_is_refused(identity: IdentityParts, ada: User, database: Database) -> None:
    with pytest.raises(EmailTaken) as email_taken:
        await identity.users.register(email="ADA@example.com", password="another password")
    assert (email_taken.value.code, email_taken.value.field) == ("email_taken", "email")
    with pytest.raises(UsernameTaken) as username_taken:
        await identity.users.register(email="other@example.com", password="another password", username="ADA_L")
    assert username_taken.value.field == "username"
    assert len(await _stored(database)) == 1


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"email": "not-an-email"}, InvalidEmail),
        ({"password": "short"}, WeakPassword),
        ({"password": "ADA@example.com"}, WeakPassword),
        ({"username": "a b"}, InvalidProfile),
        ({"name": "x" * 300}, InvalidProfile),
        ({"role": Role.ADMIN}, RoleNotAllowed),
    ],
)
async def test_bad_registrations_change_nothing(
    identity: IdentityParts, database: Database, wrong: dict[str, Any], error: type[DomainError]
) -> None:
    with pytest.raises(error):
        await identity.users.register(**{"email": "ada@example.com", "password": "correct horse"} | wrong)
    assert await _stored(database) == []
    assert await identity.audit.list() == []


async def test_of_parallel_registrations_of_one_address_one_succeeds(
    identity: IdentityParts, listener: Listener, database: Database
) -> None:
    outcomes = await asyncio.gather(
        *(identity.users.register(email="ada@example.com", password=f"password {n:03}") for n in range(8)),
        return_exceptions=True,
    )
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["EmailTaken"] * 7 + ["User"]
    assert len(await _stored(database)) == 1
    assert len(await identity.mails("ada@example.com")) == 1
    assert len(listener.heard) == 1


async def test_of_parallel_registrations_of_one_username_one_succeeds(identity: IdentityParts) -> None:
    outcomes = await asyncio.gather(
        *(
            identity.users.register(email=f"ada{n}@example.com", password="correct horse", username=name)
            for n, name in enumerate(["ada_l", "ADA_L", "Ada_L", "ada_L"])
        ),
        return_exceptions=True,
    )
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["User"] + ["UsernameTaken"] * 3


@pytest.mark.parametrize("user_id", ["unknown", "", "\x00", "\ud800", "x" * 500])
async def test_unknown_users_are_not_found(identity: IdentityParts, user_id: str) -> None:
    with pytest.raises(UserNotFound):
        await identity.users.get(user_id)
    with pytest.raises(UserNotFound):
        await identity.users.update_profile(user_id, name="Nobody")
    with pytest.raises(UserNotFound):
        await identity.users.set_role(user_id, Role.USER)


@pytest.mark.parametrize("email", ["nobody@example.com", "not-an-email", "\x00@example.com"])
async def test_unknown_addresses_are_not_found(identity: IdentityParts, ada: User, email: str) -> None:
    assert await identity.users.find_by_email(email) is None


async def test_an_operator_finds_a_user_by_any_of_three_names(identity: IdentityParts, ada: User) -> None:
    for identifier in (ada.id, "ADA_L", "Ada@Example.com"):
        assert await identity.users.find(identifier) == ada
    for identifier in ("", "nobody", "nobody@example.com", "\x00", "Ada"):
        with pytest.raises(UserNotFound):
            await identity.users.find(identifier)


async def test_a_profile_changes_only_where_it_is_told_to(
    identity: IdentityParts, ada: User, listener: Listener, clock: ManualClock
) -> None:
    clock.advance(60)
    changed = await identity.users.update_profile(
        ada.id, first_name="Augusta Ada", phone="+44 20 1234", timezone="Europe/London", language="en-GB"
    )
    assert changed == await identity.users.get(ada.id)
    assert (changed.name, changed.last_name, changed.phone) == ("Augusta Ada Lovelace", "Lovelace", "+44 20 1234")
    assert (changed.email, changed.username, changed.created_at) == (ada.email, ada.username, ada.created_at)
    assert changed.updated_at == clock.now()
    kept = await identity.users.update_profile(ada.id, name="Augusta Ada Lovelace", phone="")
    assert (kept.first_name, kept.phone, kept.timezone) == ("Augusta Ada", None, "Europe/London")
    await identity.mails(ada.email)
    assert [event.kind for event in listener.heard] == [USER_UPDATED, USER_UPDATED]


async def test_another_address_must_be_verified_anew_and_voids_the_links_of_the_old_one(
    identity: IdentityParts, ada: User
) -> None:
    old_link = await identity.mailed_token("ada@example.com", "verify-email")
    await identity.recovery.forgot_password("ada@example.com")
    old_reset = await identity.mailed_token("ada@example.com", "reset-password")
    changed = await identity.users.update_profile(ada.id, email="Augusta@example.com")
    assert (changed.email, changed.email_verified) == ("augusta@example.com", False)

    with pytest.raises(InvalidLink):
        await identity.recovery.verify_email(old_link)
    with pytest.raises(InvalidLink):
        await identity.recovery.reset_password(old_reset, "stolen password")
    assert (await identity.mails("ada@example.com"))[-1]["Subject"] == "Your e-mail address was changed"
    verified = await identity.recovery.verify_email(await identity.mailed_token("augusta@example.com", "verify-email"))
    assert verified.email_verified


async def test_the_same_address_again_stays_verified(identity: IdentityParts, ada: User) -> None:
    await identity.recovery.verify_email(await identity.mailed_token("ada@example.com", "verify-email"))
    again = await identity.users.update_profile(ada.id, email="ADA@example.com", name="Ada")
    assert (again.email_verified, again.name) == (True, "Ada")
    assert len(await identity.mails("ada@example.com")) == 1


async def test_a_profile_cannot_take_what_belongs_to_another(identity: IdentityParts, ada: User) -> None:
    bob = await identity.users.register(email="bob@example.com", password="correct horse", username="bob")
    with pytest.raises(EmailTaken):
        await identity.users.update_profile(bob.id, email="ada@example.com", name="Bobby")
    with pytest.raises(UsernameTaken):
        await identity.users.update_profile(bob.id, username="ADA_L", name="Bobby")
    assert await identity.users.get(bob.id) == bob
    renamed = await identity.users.update_profile(bob.id, username="BOB", email="bob@example.com")
    assert renamed.username == "BOB"


async def test_the_first_administrator_is_created_once(identity: IdentityParts) -> None:
    assert await identity.users.ensure_admin(*ADMIN)
    assert not await identity.users.ensure_admin("ROOT@example.com", "another password")
    admin = await identity.users.find_by_email("root@example.com")
    assert admin is not None
    assert (admin.role, admin.email_verified, admin.name) == (Role.ADMIN, True, "Administrator")
    await identity.sessions.login(*ADMIN)


async def test_an_ordinary_account_is_not_made_administrator_by_its_address(identity: IdentityParts, ada: User) -> None:
    with pytest.raises(EmailTaken):
        await identity.users.ensure_admin("ada@example.com", "admin password")
    assert (await identity.users.get(ada.id)).role is Role.USER


async def test_a_new_role_holds_at_once_and_is_audited(identity: IdentityParts, ada: User) -> None:
    await identity.users.ensure_admin(*ADMIN)
    pair = await identity.sessions.login("ada_l", "correct horse")
    assert not (await identity.sessions.authenticate(pair.access_token)).is_admin
    promoted = await identity.users.set_role(ada.id, Role.ADMIN, actor="root")
    assert promoted.role is Role.ADMIN
    assert identity.sessions.cached(pair.access_token) is None
    assert (await identity.sessions.authenticate(pair.access_token)).is_admin
    (entry,) = await identity.audit.list(actor="root")
    assert dict(entry.details) == {"fields": ["role"], "role": "admin"}
    await identity.users.set_role(ada.id, Role.USER)
    assert not (await identity.sessions.authenticate(pair.access_token)).is_admin


async def test_suspension_ends_sessions_and_stops_keys_at_once(identity: IdentityParts, ada: User) -> None:
    pair = await identity.sessions.login("ada_l", "correct horse")
    _, secret = await identity.api_keys.create(ada.id, name="key")
    for credential in (pair.access_token, secret):
        await identity.sessions.authenticate(credential)
    await identity.users.set_status(ada.id, UserStatus.SUSPENDED, actor="root")

    for credential in (pair.access_token, secret):
        assert identity.sessions.cached(credential) is None
        with pytest.raises(AccountSuspended):
            await identity.sessions.authenticate(credential)
    with pytest.raises(InvalidToken):
        await identity.sessions.refresh(pair.refresh_token)
    with pytest.raises(AccountSuspended):
        await identity.sessions.login("ada_l", "correct horse")

    await identity.users.set_status(ada.id, UserStatus.ACTIVE, actor="root")
    assert (await identity.sessions.authenticate(secret)).user_id == ada.id
    with pytest.raises(InvalidToken):
        await identity.sessions.authenticate(pair.access_token)


async def test_the_last_active_administrator_stays(identity: IdentityParts, ada: User) -> None:
    await identity.users.ensure_admin(*ADMIN)
    root = await identity.users.find_by_email(ADMIN[0])
    assert root is not None
    with pytest.raises(LastAdmin):
        await identity.users.set_role(root.id, Role.USER)
    with pytest.raises(LastAdmin):
        await identity.users.set_status(root.id, UserStatus.SUSPENDED)
    await identity.users.set_role(ada.id, Role.ADMIN)
    await identity.users.set_status(ada.id, UserStatus.SUSPENDED)
    with pytest.raises(LastAdmin):
        await identity.users.set_role(root.id, Role.USER)
    await identity.users.set_status(ada.id, UserStatus.ACTIVE)
    assert (await identity.users.set_role(root.id, Role.USER)).role is Role.USER


async def test_administrators_that_demote_each_other_at_once_leave_one(identity: IdentityParts) -> None:
    admins = []
    for n in range(4):
        await identity.users.ensure_admin(f"root{n}@example.com", "admin password")
        admins.append(await identity.users.find_by_email(f"root{n}@example.com"))
    outcomes = await asyncio.gather(
        *(identity.users.set_role(admin.id, Role.USER) for admin in admins if admin), return_exceptions=True
    )
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["LastAdmin"] + ["User"] * 3
    assert await identity.users.count(role=Role.ADMIN) == 1


async def test_lists_page_filter_and_search(identity: IdentityParts, ada: User, clock: ManualClock) -> None:
    clock.advance(1)
    bob = await identity.users.register(
        email="bob_x@example.com", password="correct horse", first_name="Bob", role=Role.NODE_OPERATOR
    )
    clock.advance(1)
    eve = await identity.users.register(email="eve@example.org", password="correct horse", name="Eve 100%")
    eve = await identity.users.set_status(eve.id, UserStatus.SUSPENDED)
    listed = identity.users.list
    assert await listed() == [eve, bob, ada]
    assert await listed(limit=1, offset=1) == [bob]
    assert await listed(offset=3) == []
    assert await listed(role=Role.NODE_OPERATOR) == [bob]
    assert await listed(status=UserStatus.ACTIVE, limit=1000) == [bob, ada]
    assert await listed(search="LOVELACE") == [ada]
    assert await listed(search="example.ORG") == [eve]
    assert await listed(search="ADA_") == [ada]
    assert await listed(search="b_x") == [bob]
    assert await listed(search="100%") == [eve]
    assert await listed(search="%") == [eve]
    assert await listed(search="nobody\x00\ud800") == []
    assert await identity.users.count() == 3
    assert await identity.users.count(status=UserStatus.SUSPENDED, search="eve") == 1
