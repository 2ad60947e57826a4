"""The way to a provider and back: what is good once, for how long, and for whom."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Table, select
from starlette.responses import JSONResponse

from cloudyard.domains.identity import (
    IdentityProviderRefused,
    IdentityProviderUnavailable,
    InvalidSignIn,
    InvalidSignInCode,
    ProviderAnswer,
    SignInDeclined,
    SignInExpired,
)
from cloudyard.domains.identity.hashing import code_challenge
from cloudyard.domains.identity.models import sign_in_attempts, sign_in_codes
from cloudyard.foundation.database import Database
from cloudyard.foundation.errors import DomainError
from cloudyard.testing.clock import ManualClock
from cloudyard.testing.federation import WISH, SigningIn
from cloudyard.testing.identity import IdentityParts
from cloudyard.testing.oidc_provider import LoopbackProvider

EMAIL = "ada@example.com"
VERIFIER = "v" * 43


async def rows(database: Database, table: Table) -> list[Any]:
    async with database.reading() as tx:
        return await tx.all(select(table))


async def test_the_code_opens_a_session_once(identity: IdentityParts, sign_in: SigningIn) -> None:
    arrival = await sign_in.arrives()
    pair = await sign_in.federation.exchange(arrival.code, client="A browser")
    assert pair.user == arrival.user
    assert (await identity.sessions.authenticate(pair.access_token)).user_id == arrival.user.id
    with pytest.raises(InvalidSignInCode):
        await sign_in.federation.exchange(arrival.code)


async def test_of_many_exchanges_at_once_one_succeeds(sign_in: SigningIn) -> None:
    arrival = await sign_in.arrives()
    tries = [sign_in.federation.exchange(arrival.code) for _ in range(5)]
    results = await asyncio.gather(*tries, return_exceptions=True)
    assert [type(result) for result in results].count(InvalidSignInCode) == 4


@pytest.mark.parametrize("code", ["garbage", "", "\x00", "\ud800", "x" * 10_000])
async def test_made_up_codes_are_refused(sign_in: SigningIn, code: str) -> None:
    with pytest.raises(InvalidSignInCode) as caught:
        await sign_in.federation.exchange(code)
    assert caught.value.field == "code"


async def test_a_code_is_good_for_a_minute(sign_in: SigningIn, clock: ManualClock) -> None:
    early, late = await sign_in.arrives(), await sign_in.arrives()
    clock.advance(59)
    await sign_in.federation.exchange(early.code)
    clock.advance(1)
    with pytest.raises(InvalidSignInCode):
        await sign_in.federation.exchange(late.code)


@pytest.mark.parametrize("verifier", [None, "w" * 43, ""])
async def test_a_code_is_for_the_app_that_has_the_verifier(sign_in: SigningIn, verifier: str | None) -> None:
    arrival = await sign_in.arrives(replace(WISH, challenge=code_challenge(VERIFIER)))
    with pytest.raises(InvalidSignInCode):
        await sign_in.federation.exchange(arrival.code, verifier=verifier)
    with pytest.raises(InvalidSignInCode):  # a thief who guesses has used it up
        await sign_in.federation.exchange(arrival.code, verifier=VERIFIER)


async def test_the_verifier_opens_the_code(sign_in: SigningIn) -> None:
    arrival = await sign_in.arrives(replace(WISH, challenge=code_challenge(VERIFIER)))
    assert (await sign_in.federation.exchange(arrival.code, verifier=VERIFIER)).user == arrival.user


async def test_a_verifier_that_nobody_asked_for_is_refused(sign_in: SigningIn) -> None:
    arrival = await sign_in.arrives()
    with pytest.raises(InvalidSignInCode):
        await sign_in.federation.exchange(arrival.code, verifier=VERIFIER)


async def test_nothing_that_opens_a_door_is_stored_in_the_clear(
    sign_in: SigningIn, database: Database, acme: LoopbackProvider
) -> None:
    state, secret, answer = await sign_in.came_back()
    (stored,) = await rows(database, sign_in_attempts)
    (asked, _person) = acme.codes[answer.code or ""]
    for opener in (state, secret, asked["nonce"], answer.code):
        assert opener and opener not in str(stored)
    attempt = await sign_in.federation.resume("acme", state, secret)
    arrival = await sign_in.federation.complete(attempt, answer)
    assert arrival.code not in str(await rows(database, sign_in_codes))


async def test_a_state_is_good_once(sign_in: SigningIn) -> None:
    state, secret, _answer = await sign_in.came_back()
    await sign_in.federation.resume("acme", state, secret)
    with pytest.raises(InvalidSignIn):
        await sign_in.federation.resume("acme", state, secret)


async def test_of_many_that_come_back_with_one_state_one_goes_on(sign_in: SigningIn) -> None:
    state, secret, _answer = await sign_in.came_back()
    tries = [sign_in.federation.resume("acme", state, secret) for _ in range(5)]
    results = await asyncio.gather(*tries, return_exceptions=True)
    assert [type(result) for result in results].count(InvalidSignIn) == 4


@pytest.mark.parametrize("state", [None, "", "garbage", "\x00", "\ud800", "x" * 10_000])
async def test_a_made_up_state_is_refused(sign_in: SigningIn, state: str | None) -> None:
    with pytest.raises(InvalidSignIn):
        await sign_in.federation.resume("acme", state, "secret")


@pytest.mark.parametrize("secret", [None, "", "another browser's"])
async def test_another_browser_cannot_finish_it(sign_in: SigningIn, secret: str | None) -> None:
    state, right, _answer = await sign_in.came_back()
    with pytest.raises(InvalidSignIn, match="another browser"):
        await sign_in.federation.resume("acme", state, secret)
    with pytest.raises(InvalidSignIn):  # and whoever has the state has used it up
        await sign_in.federation.resume("acme", state, right)


async def test_it_must_come_back_from_the_provider_that_it_went_to(sign_in: SigningIn) -> None:
    state, secret, _answer = await sign_in.came_back()
    with pytest.raises(InvalidSignIn):
        await sign_in.federation.resume("google", state, secret)


async def test_a_sign_in_takes_ten_minutes_at_most(
    identity: IdentityParts, sign_in: SigningIn, clock: ManualClock, acme: LoopbackProvider
) -> None:
    attempt, answer = await sign_in.resumed()
    clock.advance(600)
    with pytest.raises(SignInExpired):
        await sign_in.federation.complete(attempt, answer)
    assert await identity.users.count() == 0
    assert "/token" not in acme.used


async def test_what_is_past_its_time_is_forgotten(
    identity: IdentityParts, sign_in: SigningIn, clock: ManualClock, database: Database
) -> None:
    await sign_in.arrives()
    await sign_in.came_back()
    clock.advance(599)
    await sign_in.came_back()
    clock.advance(2)
    await identity.cleanup.run()
    assert len(await rows(database, sign_in_attempts)) == 1
    assert await rows(database, sign_in_codes) == []


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (ProviderAnswer(error="access_denied"), SignInDeclined),
        (ProviderAnswer(code="a code", error="access_denied"), SignInDeclined),
        (ProviderAnswer(error="server_error"), IdentityProviderRefused),
        (ProviderAnswer(error="<script>"), IdentityProviderRefused),
        (ProviderAnswer(), IdentityProviderRefused),
        (ProviderAnswer(code="made up"), IdentityProviderRefused),
    ],
)
async def test_a_provider_that_says_no(
    identity: IdentityParts, sign_in: SigningIn, answer: ProviderAnswer, failure: type[DomainError]
) -> None:
    attempt, _ = await sign_in.resumed()
    with pytest.raises(failure) as caught:
        await sign_in.federation.complete(attempt, answer)
    assert "<" not in caught.value.message
    (refused,) = await identity.audit.list(action="sign_in.refused")
    assert refused.details == {"reason": failure.code}


async def test_the_code_of_another_sign_in_is_refused(identity: IdentityParts, sign_in: SigningIn) -> None:
    """What PKCE is for: a stolen code in a thief's own sign-in."""
    _, stolen = await sign_in.resumed()
    attempt, _ = await sign_in.resumed()
    with pytest.raises(IdentityProviderRefused):
        await sign_in.federation.complete(attempt, stolen)
    assert await identity.users.count() == 0


async def test_the_token_of_another_sign_in_is_refused(sign_in: SigningIn, acme: LoopbackProvider) -> None:
    """What the nonce is for: a token that was issued for another request."""
    acme.extra_claims = {"nonce": "of another"}
    with pytest.raises(IdentityProviderRefused, match="nonce"):
        await sign_in.arrives()


async def test_a_provider_that_is_down_is_told(
    identity: IdentityParts, sign_in: SigningIn, acme: LoopbackProvider, database: Database
) -> None:
    acme.answers["/.well-known/openid-configuration"] = lambda: JSONResponse({}, 503)
    with pytest.raises(IdentityProviderUnavailable):
        await sign_in.federation.begin("acme", WISH)
    assert await rows(database, sign_in_attempts) == []
    del acme.answers["/.well-known/openid-configuration"]
    acme.answers["/token"] = lambda: JSONResponse({}, 503)
    with pytest.raises(IdentityProviderUnavailable):
        await sign_in.arrives()
    assert await identity.audit.list(action="sign_in.refused") == []
