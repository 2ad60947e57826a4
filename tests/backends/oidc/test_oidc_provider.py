"""The code flow with a provider on the loopback: what is asked, what is told, and what fails how."""

import threading
from collections.abc import Callable

import pytest
from oidc_flow import CALLBACK, EMAIL, NONCE, VERIFIER, Flow
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response

from cloudyard.domains.identity import ExternalPerson, IdentityProviderRefused, IdentityProviderUnavailable
from cloudyard.domains.identity.hashing import code_challenge
from cloudyard.testing.clock import ManualClock
from cloudyard.testing.oidc_provider import (
    CLIENT_ID,
    CLIENT_SECRET,
    LoopbackProvider,
    query_of,
)


async def test_the_provider_is_asked_for_a_code_with_state_nonce_and_challenge(
    flow: Flow, acme: LoopbackProvider
) -> None:
    url = await flow.url()
    assert url.startswith(f"{acme.issuer}/authorize?")
    assert query_of(url) == {
        "tenant": "acme",
        "response_type": "code",
        "client_id": CLIENT_ID,
        "redirect_uri": CALLBACK,
        "scope": "openid email profile",
        "state": "a-state",
        "nonce": NONCE,
        "code_challenge": code_challenge(VERIFIER),
        "code_challenge_method": "S256",
    }


async def test_a_code_tells_who_it_is(flow: Flow, acme: LoopbackProvider) -> None:
    assert await flow.person() == ExternalPerson(
        issuer=acme.issuer,
        subject="ada-1",
        email=EMAIL,
        email_verified=True,
        first_name="Ada",
        last_name="Lovelace",
    )


@pytest.mark.parametrize("methods", [("client_secret_basic",), ("client_secret_post",)])
async def test_the_client_proves_itself_as_the_provider_wants(
    flow: Flow, acme: LoopbackProvider, methods: tuple[str, ...]
) -> None:
    acme.authentication = methods
    assert (await flow.person()).subject == "ada-1"


@pytest.mark.parametrize(
    ("place", "method", "works"),
    [("header", "basic", True), ("header", "post", False), ("form", "post", True), ("form", "basic", False)],
)
async def test_where_the_secret_goes_may_be_set(
    flow_with: Callable[..., Flow], acme: LoopbackProvider, place: str, method: str, works: bool
) -> None:
    """A provider tells what it takes of all clients together, which need not be what it takes of this one."""
    acme.authentication = (f"client_secret_{method}",)
    acme.answers["/.well-known/openid-configuration"] = _changed(acme, token_endpoint_auth_methods_supported=None)
    flow = flow_with(client_secret_in=place)
    if works:
        assert (await flow.person()).subject == "ada-1"
    else:
        with pytest.raises(IdentityProviderRefused, match="client_secret_in"):
            await flow.person()


async def test_a_public_client_has_no_secret(flow_with: Callable[..., Flow], acme: LoopbackProvider) -> None:
    acme.authentication = ("none",)
    assert (await flow_with(client_secret=None).person()).subject == "ada-1"


async def test_a_wrong_client_secret_is_named(flow_with: Callable[..., Flow]) -> None:
    with pytest.raises(IdentityProviderRefused, match=r"sign_in\.providers\.acme") as caught:
        await flow_with(client_secret="wrong").person()
    assert CLIENT_SECRET not in str(caught.value)
    assert "sign_in" not in caught.value.message


async def test_the_provider_checks_the_verifier(flow: Flow) -> None:
    with pytest.raises(IdentityProviderRefused, match="does not take back the code"):
        await flow.person(code_verifier="w" * 43)


async def test_a_code_is_good_once(flow: Flow) -> None:
    code = await flow.code()
    await flow.redeem(code)
    with pytest.raises(IdentityProviderRefused):
        await flow.redeem(code)


async def test_endpoints_and_keys_are_remembered_for_an_hour(
    flow: Flow, acme: LoopbackProvider, clock: ManualClock
) -> None:
    for _ in range(2):
        await flow.person()
    assert acme.used.count("/.well-known/openid-configuration") == acme.used.count("/jwks") == 1
    clock.advance(3600)
    await flow.person()
    assert acme.used.count("/.well-known/openid-configuration") == acme.used.count("/jwks") == 2


async def test_the_browser_must_come_back_from_the_provider(flow: Flow, acme: LoopbackProvider) -> None:
    assert (await flow.person(issuer=acme.issuer)).subject == "ada-1"
    with pytest.raises(IdentityProviderRefused, match="somebody else than Acme"):
        await flow.person(issuer="https://evil.example")


async def test_a_provider_that_always_tells_its_name_must_tell_it(flow: Flow, acme: LoopbackProvider) -> None:
    acme.tells_issuer = True
    assert (await flow.person(issuer=acme.issuer)).subject == "ada-1"
    with pytest.raises(IdentityProviderRefused, match="somebody else than Acme"):
        await flow.person()


async def test_what_the_token_leaves_out_is_asked_for(flow: Flow, acme: LoopbackProvider) -> None:
    acme.in_id_token = False
    person = await flow.person()
    assert (person.email, person.email_verified, person.last_name) == (EMAIL, True, "Lovelace")
    assert acme.used[-1] == "/userinfo"


async def test_the_userinfo_of_another_person_is_refused(flow: Flow, acme: LoopbackProvider) -> None:
    acme.in_id_token = False
    acme.answers["/userinfo"] = lambda: JSONResponse({"sub": "eve-1", "email": EMAIL, "email_verified": True})
    with pytest.raises(IdentityProviderRefused, match="two different people"):
        await flow.person()


@pytest.mark.parametrize(
    ("said", "verified"),
    [(True, True), ("true", True), (False, False), ("false", False), ("yes", False), (None, False)],
)
async def test_only_a_plain_yes_vouches_for_an_address(
    flow: Flow, acme: LoopbackProvider, said: bool | str | None, verified: bool
) -> None:
    acme.signs_in("ada-1", EMAIL, verified=said)
    assert (await flow.person()).email_verified is verified


@pytest.mark.parametrize(("said", "verified"), [(None, True), (True, True), (False, False), ("no", False)])
async def test_silence_vouches_where_the_settings_say_so(
    flow_with: Callable[..., Flow], acme: LoopbackProvider, said: bool | str | None, verified: bool
) -> None:
    acme.signs_in("ada-1", EMAIL, verified=said)
    assert (await flow_with(trust_emails=True).person()).email_verified is verified


@pytest.mark.parametrize(
    ("claims", "names"),
    [
        ({"name": "Ada Lovelace"}, ("Ada", "Lovelace")),
        ({"name": "Ada"}, ("Ada", "")),
        ({"given_name": "Ada", "name": "Ada Lovelace"}, ("Ada", "")),
        ({"given_name": "Ada", "family_name": ""}, ("Ada", "")),
        ({"family_name": "Lovelace", "name": "Ada Lovelace"}, ("", "Lovelace")),
        ({"given_name": "", "family_name": "", "name": "Ada Lovelace"}, ("Ada", "Lovelace")),
        ({}, ("", "")),
    ],
)
async def test_names(flow: Flow, acme: LoopbackProvider, claims: dict[str, str], names: tuple[str, str]) -> None:
    acme.signs_in("ada-1", EMAIL, **claims)
    person = await flow.person()
    assert (person.first_name, person.last_name) == names


def _changed(acme: LoopbackProvider, **changes: object) -> Callable[[], Response]:
    return lambda: JSONResponse({n: v for n, v in (acme.metadata() | changes).items() if v is not None})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"issuer": "https://evil.example"}, "calls itself 'https://evil.example'"),
        ({"token_endpoint": "http://evil.example/token"}, "token_endpoint is no https address"),
        ({"jwks_uri": "file:///etc/passwd"}, "jwks_uri is no https address"),
        ({"authorization_endpoint": "javascript:alert(1)"}, "authorization_endpoint is no https address"),
        ({"userinfo_endpoint": "http://[broken"}, "userinfo_endpoint is no https address"),
        ({"token_endpoint": None}, "cannot be read"),
        ({"jwks_uri": 42}, "cannot be read"),
    ],
)
async def test_a_discovery_document_that_cannot_be_trusted(
    flow: Flow, acme: LoopbackProvider, changes: dict[str, object], words: str
) -> None:
    acme.answers["/.well-known/openid-configuration"] = _changed(acme, **changes)
    with pytest.raises(IdentityProviderRefused, match=words):
        await flow.url()


GARBAGE: list[tuple[Callable[[], Response], type[Exception]]] = [
    (lambda: PlainTextResponse("<html>Please log in</html>"), IdentityProviderRefused),
    (lambda: PlainTextResponse(b"\xff\xfe{}"), IdentityProviderRefused),
    (lambda: JSONResponse([]), IdentityProviderRefused),
    (lambda: PlainTextResponse("[" * 100_000), IdentityProviderRefused),
    (lambda: PlainTextResponse("x" * 600_000), IdentityProviderRefused),
    (lambda: JSONResponse({}, 404), IdentityProviderRefused),
    (lambda: RedirectResponse("http://127.0.0.1:1/", 302), IdentityProviderRefused),
    (lambda: JSONResponse({"error": "temporarily_unavailable"}, 503), IdentityProviderUnavailable),
    (lambda: JSONResponse({}, 429), IdentityProviderUnavailable),
]


@pytest.mark.parametrize(("answer", "failure"), GARBAGE)
@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/token", "/jwks", "/userinfo"])
async def test_garbage_is_a_clear_failure(
    flow: Flow, acme: LoopbackProvider, path: str, answer: Callable[[], Response], failure: type[Exception]
) -> None:
    acme.in_id_token = False
    acme.answers[path] = answer
    with pytest.raises(failure):
        await flow.person()


async def test_an_answer_that_is_right_and_too_long_is_refused(flow: Flow, acme: LoopbackProvider) -> None:
    acme.answers["/.well-known/openid-configuration"] = _changed(acme, pad="x" * 600_000)
    with pytest.raises(IdentityProviderRefused, match="longer than 524288 bytes"):
        await flow.url()


async def test_a_failure_is_not_remembered(flow: Flow, acme: LoopbackProvider) -> None:
    for path in ("/.well-known/openid-configuration", "/jwks"):
        acme.answers[path] = lambda: JSONResponse({}, 500)
        with pytest.raises(IdentityProviderUnavailable):
            await flow.person()
        del acme.answers[path]
    assert (await flow.person()).subject == "ada-1"


@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/token", "/jwks", "/userinfo"])
async def test_a_provider_that_never_answers_is_given_up(
    flow_with: Callable[..., Flow], acme: LoopbackProvider, path: str
) -> None:
    released = threading.Event()

    def hang() -> Response:
        released.wait(20)
        return JSONResponse({})

    flow = flow_with(timeout_seconds=0.5)
    acme.in_id_token = False
    acme.answers[path] = hang
    try:
        with pytest.raises(IdentityProviderUnavailable, match=r"did not answer within 0\.5 s"):
            await flow.person()
    finally:
        released.set()


async def test_a_provider_that_is_not_there(flow: Flow, acme: LoopbackProvider) -> None:
    code = await flow.code()
    gone = acme.metadata() | {"token_endpoint": "http://127.0.0.1:1/token"}
    later = Flow(acme, ManualClock())
    acme.answers["/.well-known/openid-configuration"] = lambda: JSONResponse(gone)
    try:
        with pytest.raises(IdentityProviderUnavailable, match="cannot be reached") as caught:
            await later.redeem(code)
        assert "127.0.0.1" in str(caught.value) and "127.0.0.1" not in caught.value.message
    finally:
        await later.close()
