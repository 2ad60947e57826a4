"""Whose account it is that somebody signs in to through a provider, and who stays out."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import Table, select

from cloudyard.domains.identity import (
    AccountEmailNotVerified,
    AccountSuspended,
    IdentityProviderRefused,
    InvalidCredentials,
    InvalidEmail,
    InvalidSignInCode,
    InvalidToken,
    ProviderEmailNotVerified,
    User,
    UserStatus,
)
from cloudyard.domains.identity.models import external_identities, sign_in_codes
from cloudyard.foundation.database import Database
from cloudyard.foundation.errors import DomainError
from cloudyard.testing.federation import SigningIn
from cloudyard.testing.identity import IdentityParts
from cloudyard.testing.oidc_provider import LoopbackProvider

EMAIL = "ada@example.com"
VERIFIER = "v" * 43


async def rows(database: Database, table: Table) -> list[Any]:
    async with database.reading() as tx:
        return await tx.all(select(table))


async def verify(identity: IdentityParts, user: User) -> None:
    await identity.recovery.verify_email(await identity.mailed_token(user.email, "verify-email"))


async def test_a_stranger_gets_an_account_that_is_like_any_other(
    identity: IdentityParts, sign_in: SigningIn, database: Database, acme: LoopbackProvider
) -> None:
    arrival = await sign_in.arrives()
    user = arrival.user
    assert arrival.created
    assert (user.email, user.email_verified, user.first_name, user.last_name) == (EMAIL, True, "Ada", "Lovelace")
    assert (user.role, user.status) == ("user", "active")
    assert await identity.users.get(user.id) == user
    (linked,) = await rows(database, external_identities)
    assert (linked.user_id, linked.issuer, linked.subject) == (user.id, acme.issuer, "ada-1")
    created, linking, used = reversed(await identity.audit.list(actor=user.id))
    assert (created.action, created.details) == ("user.created", {"role": "user", "provider": "acme"})
    assert (linking.action, linking.details["subject"]) == ("identity.linked", "ada-1")
    assert (used.action, used.details) == ("identity.used", {"provider": "acme"})
    assert await identity.mails(EMAIL) == []


async def test_who_comes_again_finds_the_same_account(
    identity: IdentityParts, sign_in: SigningIn, acme: LoopbackProvider
) -> None:
    first = await sign_in.arrives()
    acme.signs_in("ada-1", "another@example.com", verified=False, given_name="Augusta")
    again = await sign_in.arrives()
    assert (again.user, again.created) == (first.user, False)
    assert await identity.users.count() == 1


async def test_another_subject_with_the_same_address_is_linked_too(
    identity: IdentityParts, sign_in: SigningIn, acme: LoopbackProvider
) -> None:
    first = await sign_in.arrives()
    acme.signs_in("ada-2", EMAIL.upper())
    assert (await sign_in.arrives()).user == first.user
    assert await identity.users.count() == 1


async def test_a_subject_is_somebody_at_its_issuer_alone(
    sign_in: SigningIn, acme: LoopbackProvider, database: Database
) -> None:
    """The settings may one day mean another issuer by the same name."""
    await sign_in.arrives()
    async with database.transaction() as tx:
        await tx.execute(external_identities.update().values(issuer="https://former.example"))
    acme.signs_in("ada-1", "eve@example.com")
    arrival = await sign_in.arrives()
    assert arrival.created and arrival.user.email == "eve@example.com"


async def test_an_account_with_a_verified_address_is_linked_and_told(
    identity: IdentityParts, sign_in: SigningIn, ada: User
) -> None:
    await verify(identity, ada)
    before = len(await identity.mails(EMAIL))
    arrival = await sign_in.arrives()
    assert (arrival.user.id, arrival.created) == (ada.id, False)
    assert (arrival.user.first_name, arrival.user.last_name) == ("Ada", "Lovelace")
    assert [mail["Subject"] for mail in (await identity.mails(EMAIL))[before:]] == ["There is another way to sign in"]
    assert (await identity.sessions.login(EMAIL, "correct horse")).user.id == ada.id
    assert [entry.actor for entry in await identity.audit.list(action="identity.linked")] == [ada.id]


async def test_an_account_whose_address_nobody_proved_is_not_linked(
    identity: IdentityParts, sign_in: SigningIn, ada: User, database: Database
) -> None:
    """Whoever opened it may be lying in wait for the owner of the address."""
    with pytest.raises(AccountEmailNotVerified, match="forgot password") as refusal:
        await sign_in.arrives()
    assert "verif" not in refusal.value.message  # the link of that mail would leave the other's password good
    assert await rows(database, external_identities) == []
    assert await rows(database, sign_in_codes) == []
    assert (await identity.sessions.login(EMAIL, "correct horse")).user == ada
    (refused,) = await identity.audit.list(action="sign_in.refused")
    assert (refused.subject, refused.details) == ("provider:acme", {"reason": "account_email_not_verified"})


async def test_the_advice_works_and_leaves_nothing_to_who_lay_in_wait(
    identity: IdentityParts, sign_in: SigningIn, acme: LoopbackProvider
) -> None:
    acme.signs_in("eve-1", "eve@example.com")
    eve = (await sign_in.arrives()).user
    session = await identity.sessions.start(eve.id)
    _, key = await identity.api_keys.create(eve.id, name="mine for ever")
    await identity.users.update_profile(eve.id, email=EMAIL)
    stocked = (await sign_in.arrives()).code

    acme.signs_in("ada-1", EMAIL)
    with pytest.raises(AccountEmailNotVerified):
        await sign_in.arrives()
    await identity.recovery.forgot_password(EMAIL)
    await identity.recovery.reset_password(await identity.mailed_token(EMAIL, "reset-password"), "a new password")
    assert (await sign_in.arrives()).user.id == eve.id

    for credential in (session.access_token, key):
        with pytest.raises(InvalidToken):
            await identity.sessions.authenticate(credential)
    with pytest.raises(InvalidSignInCode):
        await sign_in.federation.exchange(stocked)
    acme.signs_in("eve-1", "eve@example.com")
    arrival = await sign_in.arrives()
    assert arrival.created and arrival.user.id != eve.id
    (entry,) = await identity.audit.list(action="email.proven_first")
    assert entry.details == {"api_keys": 1, "identities": 1}


async def test_a_reset_of_a_proven_account_leaves_keys_and_identities(
    identity: IdentityParts, sign_in: SigningIn
) -> None:
    user = (await sign_in.arrives()).user
    _, key = await identity.api_keys.create(user.id, name="in use")
    await identity.recovery.forgot_password(EMAIL)
    await identity.recovery.reset_password(await identity.mailed_token(EMAIL, "reset-password"), "a new password")
    assert (await identity.sessions.authenticate(key)).user_id == user.id
    assert (await sign_in.arrives()).user.id == user.id
    assert (await identity.sessions.login(EMAIL, "a new password")).user.id == user.id


@pytest.mark.parametrize("password", ["", "nobody has this password", "!", "None"])
async def test_no_password_opens_an_account_without_one(
    identity: IdentityParts, sign_in: SigningIn, password: str
) -> None:
    await sign_in.arrives()
    with pytest.raises(InvalidCredentials):
        await identity.sessions.login(EMAIL, password)


@pytest.mark.parametrize(
    ("email", "verified"), [(EMAIL, False), (EMAIL, None), (EMAIL, "no"), (None, True), ("", True)]
)
async def test_an_address_that_the_provider_does_not_vouch_for_is_refused(
    identity: IdentityParts, sign_in: SigningIn, acme: LoopbackProvider, email: str | None, verified: bool | str | None
) -> None:
    acme.signs_in("ada-1", email, verified=verified)
    with pytest.raises(ProviderEmailNotVerified, match="Acme"):
        await sign_in.arrives()
    assert await identity.users.count() == 0


async def test_an_address_that_mail_cannot_reach_is_refused(sign_in: SigningIn, acme: LoopbackProvider) -> None:
    acme.signs_in("ada-1", "no address")
    with pytest.raises(InvalidEmail):
        await sign_in.arrives()


@pytest.mark.parametrize("subject", ["", "x" * 256, "nul\x00"])
async def test_a_subject_that_cannot_be_kept_is_refused(
    sign_in: SigningIn, acme: LoopbackProvider, subject: str
) -> None:
    acme.signs_in(subject, EMAIL)
    with pytest.raises(IdentityProviderRefused):
        await sign_in.arrives()


@pytest.mark.parametrize(
    ("told", "kept"),
    [("x" * 300, "x" * 100), ("  Ada\x00\n King ", "Ada King"), ("\u202eadA", "adA"), ("", "")],
)
async def test_strange_names_turn_nobody_away(sign_in: SigningIn, acme: LoopbackProvider, told: str, kept: str) -> None:
    acme.signs_in("ada-1", EMAIL, given_name=told, family_name="")
    assert (await sign_in.arrives()).user.first_name == kept


async def test_the_suspended_stay_out(identity: IdentityParts, sign_in: SigningIn) -> None:
    arrival = await sign_in.arrives()
    await identity.users.set_status(arrival.user.id, UserStatus.SUSPENDED)
    with pytest.raises(AccountSuspended):
        await sign_in.arrives()
    await identity.users.set_status(arrival.user.id, UserStatus.ACTIVE)
    with pytest.raises(InvalidSignInCode):
        await sign_in.federation.exchange(arrival.code)


async def test_logging_out_everywhere_ends_codes_too(identity: IdentityParts, sign_in: SigningIn) -> None:
    arrival = await sign_in.arrives()
    await identity.sessions.logout_all(arrival.user.id)
    with pytest.raises(InvalidSignInCode):
        await sign_in.federation.exchange(arrival.code)


async def test_a_reset_and_a_code_at_the_same_time_leave_no_session(
    identity: IdentityParts, sign_in: SigningIn
) -> None:
    arrival = await sign_in.arrives()
    await identity.recovery.forgot_password(EMAIL)
    token = await identity.mailed_token(EMAIL, "reset-password")
    session, _ = await asyncio.gather(
        sign_in.federation.exchange(arrival.code),
        identity.recovery.reset_password(token, "a new password"),
        return_exceptions=True,
    )
    if isinstance(session, BaseException):
        assert isinstance(session, InvalidSignInCode)
    else:
        with pytest.raises(InvalidToken):
            await identity.sessions.authenticate(session.access_token)


async def test_the_suspended_are_not_linked_either(
    identity: IdentityParts, sign_in: SigningIn, ada: User, database: Database
) -> None:
    await verify(identity, ada)
    await identity.users.set_status(ada.id, UserStatus.SUSPENDED)
    with pytest.raises(AccountSuspended):
        await sign_in.arrives()
    assert await rows(database, external_identities) == []


async def test_many_who_come_back_at_once_are_one_account(
    identity: IdentityParts, sign_in: SigningIn, database: Database
) -> None:
    resumed = [await sign_in.resumed() for _ in range(6)]
    arrivals = await asyncio.gather(*(sign_in.federation.complete(*each) for each in resumed))
    assert [arrival.created for arrival in arrivals].count(True) == 1
    assert len({arrival.user.id for arrival in arrivals}) == 1
    assert len(await rows(database, external_identities)) == await identity.users.count() == 1


async def test_two_subjects_with_one_address_at_once_are_one_account(
    identity: IdentityParts, sign_in: SigningIn, acme: LoopbackProvider, database: Database
) -> None:
    resumed = []
    for subject in ("ada-1", "ada-2", "ada-3"):
        acme.signs_in(subject, EMAIL)
        resumed.append(await sign_in.resumed())
    arrivals = await asyncio.gather(*(sign_in.federation.complete(*each) for each in resumed))
    assert len({arrival.user.id for arrival in arrivals}) == await identity.users.count() == 1
    assert len(await rows(database, external_identities)) == 3


async def test_a_registration_at_the_same_time_never_ends_in_two_accounts(
    identity: IdentityParts, sign_in: SigningIn
) -> None:
    attempt, answer = await sign_in.resumed()
    registering = identity.users.register(email=EMAIL, password="correct horse", name="Ada")
    results = await asyncio.gather(registering, sign_in.federation.complete(attempt, answer), return_exceptions=True)
    assert [isinstance(result, DomainError) for result in results].count(True) == 1, results
    assert await identity.users.count() == 1
