"""What applications are let in to do: codes, refresh tokens, and their ends, on both databases."""

import asyncio
from dataclasses import replace

import pytest
from sqlalchemy import select

from cloudyard.domains.identity import (
    AccountSuspended,
    Consent,
    DelegatedTokens,
    DelegationNotFound,
    InvalidCredentials,
    InvalidGrant,
    InvalidScope,
    InvalidToken,
    OAuthClient,
    Scope,
    ScopeMissing,
    TokenExpired,
    User,
    UserStatus,
)
from cloudyard.domains.identity.delegation_models import delegations
from cloudyard.domains.identity.hashing import code_challenge
from cloudyard.foundation.database import Database
from cloudyard.testing.clock import ManualClock
from cloudyard.testing.identity import IdentityParts

VERIFIER = "correct-horse-battery-staple-0123456789-abcdef"
BACK = "http://127.0.0.1:3334/callback"
BOTH = frozenset({Scope.INFERENCE, Scope.WALLET})


@pytest.fixture
async def app(identity: IdentityParts) -> OAuthClient:
    return await identity.clients.register("Helper", [BACK])


def consent(app: OAuthClient, scopes: frozenset[Scope] = BOTH) -> Consent:
    return Consent(app, scopes, BACK, code_challenge(VERIFIER))


async def exchanged(
    identity: IdentityParts,
    code: str,
    app: OAuthClient,
    *,
    client_id: str | None = None,
    redirect_uri: str = BACK,
    verifier: str = VERIFIER,
) -> DelegatedTokens:
    return await identity.delegations.exchange(
        code, client_id=client_id or app.id, redirect_uri=redirect_uri, verifier=verifier
    )


@pytest.fixture
async def tokens(identity: IdentityParts, ada: User, app: OAuthClient) -> DelegatedTokens:
    return await exchanged(identity, await identity.delegations.grant(ada, consent(app)), app)


async def test_an_application_acts_within_its_scopes(
    identity: IdentityParts, ada: User, app: OAuthClient, tokens: DelegatedTokens
) -> None:
    principal = await identity.delegations.authenticate(tokens.access_token)
    assert (principal.user_id, principal.session_id, principal.api_key) == (ada.id, None, None)
    assert principal.delegation is not None
    assert (principal.delegation.client_id, principal.delegation.client_name) == (app.id, "Helper")
    assert principal.allows(Scope.INFERENCE)
    with pytest.raises(ScopeMissing):
        principal.require(Scope.FILES)
    assert not principal.is_admin
    assert identity.delegations.cached(tokens.access_token) == principal
    assert (tokens.expires_in, tokens.scopes) == (3600, BOTH)


async def test_its_token_opens_nothing_else_even_while_it_is_remembered(
    identity: IdentityParts, tokens: DelegatedTokens
) -> None:
    await identity.delegations.authenticate(tokens.access_token)
    assert identity.sessions.cached(tokens.access_token) is None
    with pytest.raises(InvalidToken):
        await identity.sessions.authenticate(tokens.access_token)
    with pytest.raises(InvalidToken):
        await identity.sessions.refresh(tokens.refresh_token)


async def test_no_other_token_stands_for_an_application(
    identity: IdentityParts, ada: User, tokens: DelegatedTokens
) -> None:
    pair = await identity.sessions.start(ada.id)
    for other in (pair.access_token, pair.refresh_token, tokens.refresh_token):
        with pytest.raises(InvalidToken):
            await identity.delegations.authenticate(other)
    with pytest.raises(InvalidGrant):
        await identity.delegations.refresh(pair.refresh_token, client_id="any")


@pytest.mark.parametrize(
    "wrong",
    [
        {"verifier": VERIFIER + "x"},
        {"verifier": "short"},
        {"verifier": code_challenge(VERIFIER)},
        {"verifier": ""},
        {"redirect_uri": BACK + "/"},
        {"redirect_uri": "https://evil.example/"},
        {"client_id": "another"},
    ],
)
async def test_a_code_is_good_for_whom_it_was_made_alone(
    identity: IdentityParts, ada: User, app: OAuthClient, wrong: dict[str, str]
) -> None:
    code = await identity.delegations.grant(ada, consent(app))
    with pytest.raises(InvalidGrant):
        await exchanged(identity, code, app, **wrong)
    assert (await exchanged(identity, code, app)).scopes == BOTH


@pytest.mark.parametrize("code", ["", ".", "x.y", "x" * 10_000, "a\x00b.c", "\ud800.x"])
async def test_a_made_up_code_is_none(identity: IdentityParts, app: OAuthClient, code: str) -> None:
    with pytest.raises(InvalidGrant):
        await exchanged(identity, code, app)


async def test_a_guess_at_a_code_ends_nothing(
    identity: IdentityParts, app: OAuthClient, tokens: DelegatedTokens
) -> None:
    principal = await identity.delegations.authenticate(tokens.access_token)
    assert principal.delegation is not None
    with pytest.raises(InvalidGrant):
        await exchanged(identity, f"{principal.delegation.id}.guess", app)
    assert await identity.delegations.refresh(tokens.refresh_token, client_id=app.id)


async def test_a_code_that_comes_twice_ends_what_came_of_it(
    identity: IdentityParts, ada: User, app: OAuthClient
) -> None:
    code = await identity.delegations.grant(ada, consent(app))
    tokens = await exchanged(identity, code, app)
    await identity.delegations.authenticate(tokens.access_token)
    with pytest.raises(InvalidGrant, match="used before"):
        await exchanged(identity, code, app)
    (ended,) = await identity.audit.list(action="session.ended")
    assert (ended.actor, ended.details) == (None, {"reason": "authorization_code_reused"})
    with pytest.raises(InvalidToken):
        await identity.delegations.authenticate(tokens.access_token)
    with pytest.raises(InvalidGrant):
        await identity.delegations.refresh(tokens.refresh_token, client_id=app.id)


async def test_of_parallel_exchanges_at_most_one_is_answered_and_its_tokens_end(
    identity: IdentityParts, ada: User, app: OAuthClient
) -> None:
    code = await identity.delegations.grant(ada, consent(app))
    results = await asyncio.gather(*(exchanged(identity, code, app) for _ in range(5)), return_exceptions=True)
    answered = [result for result in results if isinstance(result, DelegatedTokens)]
    assert len(answered) <= 1
    others = [result for result in results if not isinstance(result, InvalidGrant | DelegatedTokens)]
    assert others == []
    for tokens in answered:
        with pytest.raises(InvalidToken):
            await identity.delegations.authenticate(tokens.access_token)


async def test_a_code_expires_after_a_minute(
    identity: IdentityParts, ada: User, app: OAuthClient, clock: ManualClock
) -> None:
    code = await identity.delegations.grant(ada, consent(app))
    clock.advance(60)
    with pytest.raises(InvalidGrant, match="expired"):
        await exchanged(identity, code, app)


async def test_refresh_tokens_rotate_and_one_that_comes_again_ends_all(
    identity: IdentityParts, app: OAuthClient, tokens: DelegatedTokens
) -> None:
    second = await identity.delegations.refresh(tokens.refresh_token, client_id=app.id)
    third = await identity.delegations.refresh(second.refresh_token, client_id=app.id, wanted=frozenset({"wallet"}))
    assert len({tokens.access_token, second.access_token, third.access_token}) == 3
    await identity.delegations.authenticate(third.access_token)
    with pytest.raises(InvalidGrant, match="used before"):
        await identity.delegations.refresh(second.refresh_token, client_id=app.id)
    with pytest.raises(InvalidToken):
        await identity.delegations.authenticate(third.access_token)
    (ended,) = await identity.audit.list(action="session.ended")
    assert (ended.actor, ended.details) == (None, {"reason": "refresh_token_reused"})


async def test_a_refresh_token_that_comes_again_ends_all_whatever_it_asks_for(
    identity: IdentityParts, app: OAuthClient, tokens: DelegatedTokens
) -> None:
    second = await identity.delegations.refresh(tokens.refresh_token, client_id=app.id)
    with pytest.raises(InvalidGrant, match="used before"):
        await identity.delegations.refresh(tokens.refresh_token, client_id=app.id, wanted=frozenset({"files"}))
    with pytest.raises(InvalidToken):
        await identity.delegations.authenticate(second.access_token)


async def test_a_refresh_narrows_nothing(identity: IdentityParts, app: OAuthClient, tokens: DelegatedTokens) -> None:
    narrow = await identity.delegations.refresh(tokens.refresh_token, client_id=app.id, wanted=frozenset({"wallet"}))
    assert narrow.scopes == BOTH


async def test_a_refresh_token_is_good_for_its_client_and_its_scopes(
    identity: IdentityParts, app: OAuthClient, tokens: DelegatedTokens
) -> None:
    with pytest.raises(InvalidGrant):
        await identity.delegations.refresh(tokens.refresh_token, client_id="another")
    with pytest.raises(InvalidScope):
        await identity.delegations.refresh(tokens.refresh_token, client_id=app.id, wanted=frozenset({"files"}))
    with pytest.raises(InvalidGrant):
        await identity.delegations.refresh(tokens.access_token, client_id=app.id)
    assert await identity.delegations.refresh(tokens.refresh_token, client_id=app.id)


async def test_tokens_expire(
    identity: IdentityParts, app: OAuthClient, tokens: DelegatedTokens, clock: ManualClock
) -> None:
    clock.advance(3600 + 6)
    with pytest.raises(TokenExpired):
        await identity.delegations.authenticate(tokens.access_token)
    clock.advance(30 * 86400)
    with pytest.raises(InvalidGrant):
        await identity.delegations.refresh(tokens.refresh_token, client_id=app.id)


@pytest.mark.parametrize("scopes", [frozenset(), frozenset({Scope.ADMIN}), frozenset({Scope.ACCOUNT, Scope.WALLET})])
async def test_an_account_cannot_be_handed_over(
    identity: IdentityParts, ada: User, app: OAuthClient, scopes: frozenset[Scope]
) -> None:
    with pytest.raises(InvalidScope):
        await identity.delegations.grant(ada, consent(app, scopes))


async def test_suspension_ends_it_at_once(
    identity: IdentityParts, ada: User, app: OAuthClient, tokens: DelegatedTokens
) -> None:
    code = await identity.delegations.grant(ada, consent(app))
    await identity.delegations.authenticate(tokens.access_token)
    await identity.users.set_status(ada.id, UserStatus.SUSPENDED)
    with pytest.raises(AccountSuspended):
        await identity.delegations.authenticate(tokens.access_token)
    with pytest.raises(AccountSuspended):
        await identity.delegations.grant(ada, consent(app))
    await identity.users.set_status(ada.id, UserStatus.ACTIVE)
    with pytest.raises(InvalidToken):
        await identity.delegations.authenticate(tokens.access_token)
    with pytest.raises(InvalidGrant):
        await exchanged(identity, code, app)


async def test_a_new_password_ends_it_at_once(
    identity: IdentityParts, ada: User, app: OAuthClient, tokens: DelegatedTokens, clock: ManualClock
) -> None:
    code = await identity.delegations.grant(ada, consent(app))
    await identity.delegations.authenticate(tokens.access_token)
    clock.advance(1)
    await identity.recovery.change_password(ada.id, "correct horse", "battery staple 9")
    with pytest.raises(InvalidToken):
        await identity.delegations.authenticate(tokens.access_token)
    for attempt in (
        identity.delegations.refresh(tokens.refresh_token, client_id=app.id),
        exchanged(identity, code, app),
    ):
        with pytest.raises(InvalidGrant):
            await attempt
    with pytest.raises(InvalidCredentials):  # who proved the old password may not agree to anything with it
        await identity.delegations.grant(ada, consent(app))


async def test_a_user_lists_and_ends_applications(
    identity: IdentityParts, ada: User, app: OAuthClient, tokens: DelegatedTokens
) -> None:
    await identity.delegations.grant(ada, consent(app))  # a code that nobody came for is no application
    await identity.sessions.start(ada.id)
    (listed,) = await identity.delegations.list(ada.id)
    assert (listed.client_name, listed.scopes) == ("Helper", BOTH)
    with pytest.raises(DelegationNotFound):
        await identity.delegations.revoke("another user", listed.id)
    await identity.delegations.authenticate(tokens.access_token)
    await identity.delegations.revoke(ada.id, listed.id)
    with pytest.raises(InvalidToken):
        await identity.delegations.authenticate(tokens.access_token)
    assert await identity.delegations.list(ada.id) == []
    with pytest.raises(DelegationNotFound):
        await identity.delegations.revoke(ada.id, listed.id)
    (entry, *_) = await identity.audit.list(action="application.allowed")
    assert (entry.actor, entry.details["client_id"]) == (ada.id, app.id)


async def test_ending_a_session_of_ones_own_by_this_door_is_refused(identity: IdentityParts, ada: User) -> None:
    pair = await identity.sessions.start(ada.id)
    principal = await identity.sessions.authenticate(pair.access_token)
    for id in (principal.session_id or "", "", "x\x00", "\ud800"):
        with pytest.raises(DelegationNotFound):
            await identity.delegations.revoke(ada.id, id)
    assert await identity.sessions.refresh(pair.refresh_token)


@pytest.mark.parametrize("which", ["access_token", "refresh_token"])
async def test_either_token_can_be_given_back(
    identity: IdentityParts, app: OAuthClient, tokens: DelegatedTokens, which: str
) -> None:
    token = getattr(tokens, which)
    await identity.delegations.revoke_token(token, client_id="another")
    await identity.delegations.revoke_token("nonsense", client_id=app.id)
    assert await identity.delegations.authenticate(tokens.access_token)
    await identity.delegations.revoke_token(token, client_id=app.id)
    await identity.delegations.revoke_token(token, client_id=app.id)
    with pytest.raises(InvalidToken):
        await identity.delegations.authenticate(tokens.access_token)


async def test_what_nobody_came_for_is_forgotten(
    identity: IdentityParts, ada: User, app: OAuthClient, database: Database, clock: ManualClock
) -> None:
    code = await identity.delegations.grant(ada, consent(app))
    clock.advance(61)
    await identity.cleanup.run()
    async with database.reading() as tx:
        assert await tx.all(select(delegations)) == []
    with pytest.raises(InvalidGrant):
        await exchanged(identity, code, app)


async def test_a_password_is_proved_without_a_session(identity: IdentityParts, ada: User) -> None:
    assert await identity.sessions.prove("ada_l", "correct horse") == ada
    with pytest.raises(InvalidCredentials):
        await identity.sessions.prove("ada_l", "wrong horse")
    await identity.users.set_status(ada.id, UserStatus.SUSPENDED)
    with pytest.raises(AccountSuspended):
        await identity.sessions.prove("ada_l", "correct horse")
    assert await identity.audit.list(action="session.started") == []


async def test_consent_of_a_changed_account_is_asked_for_again(
    identity: IdentityParts, ada: User, app: OAuthClient, clock: ManualClock
) -> None:
    earlier = replace(ada, updated_at=ada.updated_at.replace(year=2020))
    with pytest.raises(InvalidCredentials):
        await identity.delegations.grant(earlier, consent(app))
