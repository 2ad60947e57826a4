"""What the authorization server refuses, and what its pages let nobody do."""

from base64 import urlsafe_b64decode
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from mcp_people import (
    BACK,
    CHALLENGE,
    FORM,
    PASSWORD,
    VERIFIER,
    Browser,
    Person,
    encoded,
    form_fields,
    own_address,
)

from cloudyard.testing.installation import Installation

Http = httpx2.AsyncClient


async def registered(http: Http, *uris: str, **more: Any) -> str:
    body = {"client_name": "Test tool", "redirect_uris": uris or [BACK], **more}
    answer = await http.post("/oauth/register", json=body)
    assert answer.status_code == 201, answer.text
    client_id: str = answer.json()["client_id"]
    return client_id


def asking(client: str, /, **changes: str | None) -> dict[str, str]:
    asked: dict[str, str | None] = {
        "response_type": "code",
        "client_id": client,
        "redirect_uri": BACK,
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
        "scope": "wallet files",
        "state": "a state",
        **changes,
    }
    return {name: value for name, value in asked.items() if value is not None}


async def code_for(server: Installation, person: Person, client_id: str, **changes: str | None) -> str:
    browser = Browser(person)
    await browser.open(f"{server.url}/oauth/authorize?{httpx2.QueryParams(asking(client_id, **changes))}")
    return (await browser.result()).code


def exchanging(client: str, given: str, /, **changes: str | None) -> dict[str, str]:
    fields: dict[str, str | None] = {
        "grant_type": "authorization_code",
        "client_id": client,
        "code": given,
        "redirect_uri": BACK,
        "code_verifier": VERIFIER,
        **changes,
    }
    return {name: value for name, value in fields.items() if value is not None}


async def token(http: Http, fields: dict[str, str]) -> httpx2.Response:
    return await http.post("/oauth/token", content=encoded(fields), headers=FORM)


async def tokens_of(server: Installation, http: Http, person: Person) -> tuple[str, dict[str, Any]]:
    client_id = await registered(http)
    answer = await token(http, exchanging(client_id, await code_for(server, person, client_id)))
    assert answer.status_code == 200, answer.text
    return client_id, answer.json()


async def test_the_metadata_leads_from_one_document_to_the_next(mcp_server: Installation, stranger: Http) -> None:
    refused = await stranger.post("/mcp", json={})
    challenge = refused.headers["www-authenticate"]
    address = f"{mcp_server.url}/.well-known/oauth-protected-resource/mcp"
    assert (refused.status_code, challenge) == (
        401,
        f'Bearer resource_metadata="{address}", scope="inference files wallet"',
    )
    resource = (await stranger.get(address)).json()
    assert (resource["resource"], resource["authorization_servers"]) == (f"{mcp_server.url}/mcp", [mcp_server.url])
    assert (await stranger.get("/.well-known/oauth-protected-resource")).json() == resource
    metadata = (await stranger.get("/.well-known/oauth-authorization-server")).json()
    assert metadata["issuer"] == mcp_server.url
    assert metadata["code_challenge_methods_supported"] == ["S256"]
    assert metadata["token_endpoint_auth_methods_supported"] == ["none"]
    assert metadata["client_id_metadata_document_supported"] is True
    assert metadata["authorization_response_iss_parameter_supported"] is True
    for name in ("authorization", "token", "registration", "revocation"):
        assert metadata[f"{name}_endpoint"].startswith(f"{mcp_server.url}/oauth/")
    refused = await stranger.post("/mcp", json={}, headers={"Authorization": "Bearer nonsense"})
    assert 'error="invalid_token"' in refused.headers["www-authenticate"]


async def test_a_page_of_any_site_may_use_the_endpoints_but_not_the_consent(stranger: Http) -> None:
    preflight = {
        "Origin": "https://inspector.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "mcp-protocol-version",
    }
    for path in ("/oauth/token", "/oauth/register", "/.well-known/oauth-authorization-server"):
        answer = await stranger.options(path, headers=preflight)
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": "nobody"},
        {"client_id": None},
        {"redirect_uri": None},
        {"redirect_uri": "https://evil.example/"},
        {"redirect_uri": BACK + "/more"},
        {"redirect_uri": "http://127.0.0.1:41234@evil.example/callback"},
        {"state": "x" * 2001},
    ],
)
async def test_nobody_is_led_away_by_a_request_of_nobody(stranger: Http, changes: dict[str, str | None]) -> None:
    asked = asking(await registered(stranger), **changes)
    answer = await stranger.get("/oauth/authorize", params=asked)
    assert (answer.status_code, answer.headers.get("location")) == (400, None)
    assert "evil" not in answer.text
    assert "href" not in answer.text


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain", "code_challenge": VERIFIER}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": None}, "unsupported_response_type"),
        ({"scope": "admin account"}, "invalid_scope"),
        ({"resource": "https://other.example/mcp"}, "invalid_target"),
    ],
)
async def test_a_wrong_request_leads_back_only_if_the_user_follows_the_link(
    stranger: Http, changes: dict[str, str | None], error: str
) -> None:
    client_id = await registered(stranger, "https://anyone.example/cb")
    asked = asking(client_id, redirect_uri="https://anyone.example/cb", **changes)
    for answer in (
        await stranger.get("/oauth/authorize", params=asked),
        await stranger.post("/oauth/authorize", content=encoded({**asked, "decision": "deny"}), headers=FORM),
    ):
        assert (answer.status_code, answer.headers.get("location")) == (400, None)
        assert f"https://anyone.example/cb?error={error}&amp;" in answer.text
        assert "state=a+state" in answer.text
        assert "password" not in answer.text


async def test_a_parameter_that_comes_twice_is_refused(stranger: Http) -> None:
    client_id = await registered(stranger)
    asked = [*asking(client_id).items(), ("redirect_uri", "https://evil.example/")]
    assert (await stranger.get("/oauth/authorize", params=asked)).status_code == 400
    body = [*exchanging(client_id, "x").items(), ("client_id", "other")]
    answer = await stranger.post("/oauth/token", content=encoded(body), headers=FORM)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


async def test_the_page_cannot_be_framed_and_runs_nothing(stranger: Http) -> None:
    name = "<script>alert(1)</script>"
    client_id = await registered(stranger, BACK, "https://app.example/cb", "cursor://x/cb", client_name=name)
    for uri, source in ((BACK, "http://127.0.0.1:41234"), ("https://app.example/cb", "https://app.example")):
        page = await stranger.get("/oauth/authorize", params=asking(client_id, redirect_uri=uri))
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert policy.endswith(f"form-action 'self' {source}")
        assert page.headers["x-frame-options"] == "DENY"
        assert page.headers["referrer-policy"] == "same-origin"
        assert page.headers["cache-control"] == "no-store"
        assert "<script>" not in page.text
        assert "set-cookie" not in page.headers
    page = await stranger.get("/oauth/authorize", params=asking(client_id, redirect_uri="cursor://x/cb"))
    assert page.headers["content-security-policy"].endswith("form-action 'self' cursor:")


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
async def test_consent_cannot_be_sent_by_another_site(stranger: Http, ann: Person, headers: dict[str, str]) -> None:
    asked = {
        **asking(await registered(stranger)),
        "identifier": ann.email,
        "password": PASSWORD,
        "allow_scope": "wallet",
    }
    for decision in ("allow", "deny"):
        body = encoded({**asked, "decision": decision})
        answer = await stranger.post("/oauth/authorize", content=body, headers={**FORM, **headers})
        assert (answer.status_code, answer.headers.get("location")) == (403, None)


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"password": "wrong"}, 401),
        ({"password": ""}, 401),
        ({"identifier": ""}, 401),
        ({"identifier": '"><script>'}, 401),
        ({"allow_scope": ""}, 400),
        ({"allow_scope": "inference"}, 400),
        ({"allow_scope": "admin"}, 400),
    ],
)
async def test_consent_takes_the_password_and_a_right_that_was_asked_for(
    stranger: Http, ann: Person, changes: dict[str, str], status: int
) -> None:
    asked = {
        **asking(await registered(stranger)),
        "identifier": ann.email,
        "password": PASSWORD,
        "allow_scope": "wallet",
        "decision": "allow",
        **changes,
    }
    answer = await stranger.post("/oauth/authorize", content=encoded(asked), headers=FORM)
    assert (answer.status_code, answer.headers.get("location")) == (status, None)
    assert PASSWORD not in answer.text
    assert "<script>" not in answer.text
    assert ("state", "a state") in form_fields(answer.text)


async def test_what_is_unticked_is_not_allowed(mcp_server: Installation, stranger: Http, ann: Person) -> None:
    client_id = await registered(stranger)
    browser = Browser(ann, untick=frozenset({"files"}))
    await browser.open(f"{mcp_server.url}/oauth/authorize?{httpx2.QueryParams(asking(client_id))}")
    answer = await token(stranger, exchanging(client_id, (await browser.result()).code))
    assert answer.json()["scope"] == "wallet"


async def test_no_is_told_to_the_application(mcp_server: Installation, stranger: Http, ann: Person) -> None:
    client_id = await registered(stranger)
    browser = Browser(ann, password="", decision="deny")
    await browser.open(f"{mcp_server.url}/oauth/authorize?{httpx2.QueryParams(asking(client_id))}")
    told = parse_qs(urlsplit(browser.landed).query)
    assert (told["error"], told["state"], told["iss"]) == (["access_denied"], ["a state"], [mcp_server.url])


async def test_an_application_on_this_computer_may_listen_on_any_port(
    mcp_server: Installation, stranger: Http, ann: Person
) -> None:
    client_id = await registered(stranger)
    uri = BACK.replace("41234", "50001")
    code = await code_for(mcp_server, ann, client_id, redirect_uri=uri)
    assert (await token(stranger, exchanging(client_id, code))).json()["error"] == "invalid_grant"
    assert (await token(stranger, exchanging(client_id, code, redirect_uri=uri))).status_code == 200


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"code_verifier": None}, "invalid_request"),
        ({"code_verifier": VERIFIER[::-1]}, "invalid_grant"),
        ({"code_verifier": CHALLENGE}, "invalid_grant"),
        ({"redirect_uri": None}, "invalid_request"),
        ({"redirect_uri": BACK + "x"}, "invalid_grant"),
        ({"client_id": "another"}, "invalid_grant"),
        ({"client_id": None}, "invalid_request"),
        ({"code": "made.up"}, "invalid_grant"),
        ({"code": None}, "invalid_request"),
        ({"resource": "https://other.example/mcp"}, "invalid_target"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": "client_credentials"}, "unsupported_grant_type"),
        ({"grant_type": None}, "invalid_request"),
    ],
)
async def test_a_wrong_exchange_gets_nothing(
    mcp_server: Installation, stranger: Http, ann: Person, changes: dict[str, str | None], error: str
) -> None:
    client_id = await registered(stranger)
    code = await code_for(mcp_server, ann, client_id)
    answer = await token(stranger, exchanging(client_id, code, **changes))
    assert (answer.status_code, answer.json()["error"]) == (400, error)
    assert answer.headers["cache-control"] == "no-store"
    assert (await token(stranger, exchanging(client_id, code, resource=f"{mcp_server.url}/mcp"))).status_code == 200


async def test_a_code_used_twice_ends_its_tokens(mcp_server: Installation, stranger: Http, ann: Person) -> None:
    client_id = await registered(stranger)
    code = await code_for(mcp_server, ann, client_id)
    first = (await token(stranger, exchanging(client_id, code))).json()
    bearer = {"Authorization": f"Bearer {first['access_token']}"}
    assert (await stranger.post("/mcp", json={}, headers=bearer)).status_code != 401
    assert (await token(stranger, exchanging(client_id, code))).json()["error"] == "invalid_grant"
    assert (await stranger.post("/mcp", json={}, headers=bearer)).status_code == 401


async def test_a_refresh_token_used_twice_ends_all(mcp_server: Installation, stranger: Http, ann: Person) -> None:
    client_id, first = await tokens_of(mcp_server, stranger, ann)
    fields = {"grant_type": "refresh_token", "client_id": client_id, "refresh_token": first["refresh_token"]}
    second = (await token(stranger, fields)).json()
    assert second["refresh_token"] != first["refresh_token"]
    assert (await token(stranger, fields)).json()["error"] == "invalid_grant"
    again = {**fields, "refresh_token": second["refresh_token"]}
    assert (await token(stranger, again)).json()["error"] == "invalid_grant"


async def test_a_token_can_be_given_back(mcp_server: Installation, stranger: Http, ann: Person) -> None:
    client_id, tokens = await tokens_of(mcp_server, stranger, ann)
    for body in (
        {"token": "nonsense", "client_id": client_id},
        {"token": tokens["refresh_token"], "client_id": "other"},
    ):
        assert (await stranger.post("/oauth/revoke", content=encoded(body), headers=FORM)).status_code == 200
    bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert (await stranger.post("/mcp", json={}, headers=bearer)).status_code != 401
    body = {"token": tokens["refresh_token"], "client_id": client_id, "token_type_hint": "refresh_token"}
    assert (await stranger.post("/oauth/revoke", content=encoded(body), headers=FORM)).status_code == 200
    assert (await stranger.post("/mcp", json={}, headers=bearer)).status_code == 401
    assert (await stranger.post("/oauth/revoke", content=b"", headers=FORM)).status_code == 400


async def test_an_applications_token_opens_mcp_and_nothing_else(
    mcp_server: Installation, stranger: Http, ann: Person
) -> None:
    _, tokens = await tokens_of(mcp_server, stranger, ann)
    bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert (await stranger.post("/mcp", json={}, headers=bearer)).status_code != 401
    for path in ("/v1/models", "/v1/files", "/neurogrid/api/wallet", "/pynode/api/files", "/aihub/api/users/me"):
        assert (await stranger.get(path, headers=bearer)).status_code == 401, path
        assert (await stranger.get(path, headers={"X-API-Key": tokens["access_token"]})).status_code == 401, path
    refresh = await stranger.post("/aihub/api/auth/refresh", json={"refreshToken": tokens["refresh_token"]})
    assert refresh.status_code in (400, 401)
    bearer = {"Authorization": f"Bearer {tokens['refresh_token']}"}
    assert (await stranger.post("/mcp", json={}, headers=bearer)).status_code == 401


async def test_a_token_without_a_signature_or_with_anothers_is_refused(
    mcp_server: Installation, stranger: Http, ann: Person
) -> None:
    _, tokens = await tokens_of(mcp_server, stranger, ann)
    head, body, signature = tokens["access_token"].split(".")
    none = "eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0"
    assert urlsafe_b64decode(none + "=" * (-len(none) % 4)) == b'{"alg":"none","typ":"at+jwt"}'
    for forged in (f"{none}.{body}.", f"{none}.{body}.x", f"{head}.{body}.{signature[:-2]}AA", f"{head}.{body}.x"):
        answer = await stranger.post("/mcp", json={}, headers={"Authorization": f"Bearer {forged}"})
        assert answer.status_code == 401


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", "invalid_client_metadata"),
        (b"[]", "invalid_client_metadata"),
        (b"{}", "invalid_client_metadata"),
        (b"\xff", "invalid_client_metadata"),
        (b'{"redirect_uris": []}', "invalid_redirect_uri"),
        (b'{"redirect_uris": "https://app.example/cb"}', "invalid_client_metadata"),
        (b'{"redirect_uris": ["javascript:alert(1)"]}', "invalid_redirect_uri"),
        (b'{"redirect_uris": ["http://app.example/cb"]}', "invalid_redirect_uri"),
        (b'{"redirect_uris": ["https://app.example/cb"], "grant_types": ["implicit"]}', "invalid_client_metadata"),
        (b'{"redirect_uris": ["https://app.example/cb"], "response_types": ["token"]}', "invalid_client_metadata"),
        (b'{"redirect_uris": ["https://app.example/cb"], "client_name": "\\u202eevil"}', "invalid_client_metadata"),
    ],
)
async def test_registrations_that_are_refused(stranger: Http, body: bytes, error: str) -> None:
    answer = await stranger.post("/oauth/register", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["error"]) == (400, error)


async def test_registering_is_bounded_in_size_and_number(mcp_server: Installation) -> None:
    async with httpx2.AsyncClient(base_url=mcp_server.url, headers=own_address()) as http:
        large = {"redirect_uris": [BACK], "client_uri": "x" * 20_000}
        assert (await http.post("/oauth/register", json=large)).status_code == 413
        refused = await refused_at_last(http, "/oauth/register", b'{"redirect_uris": ["https://app.example/"]}', {201})
    assert "retry-after" in refused.headers
    assert refused.json()["error"] == "temporarily_unavailable"


async def test_guessing_passwords_on_the_page_is_bounded(mcp_server: Installation, ann: Person) -> None:
    async with httpx2.AsyncClient(base_url=mcp_server.url, headers=own_address()) as http:
        asked = {**asking(await registered(http)), "identifier": ann.email, "password": "x", "decision": "allow"}
        await refused_at_last(http, "/oauth/authorize", encoded({**asked, "allow_scope": "wallet"}), {401})


async def refused_at_last(http: Http, path: str, body: bytes, before: set[int]) -> httpx2.Response:
    """The first answer 429; a window of the limit may end and begin anew meanwhile."""
    for _ in range(100):
        answer = await http.post(path, content=body, headers=FORM)
        if answer.status_code == 429:
            return answer
        assert answer.status_code in before
    raise AssertionError("nothing was refused")


GARBAGE = [
    "\x00",
    "\ud800",
    "%",
    "%ff%fe",
    "é" * 100,
    "a" * 5000,
    "' OR 1=1 --",
    "<script>",
    "\r\nSet-Cookie: x=1",
    "[]",
]


@pytest.mark.parametrize("garbage", GARBAGE, ids=range(len(GARBAGE)))
async def test_garbage_in_any_parameter_breaks_nothing(stranger: Http, ann: Person, garbage: str) -> None:
    raw = garbage.encode("utf-8", "surrogatepass")
    quoted = b"".join(b"%%%02x" % byte for byte in raw)
    client_id = await registered(stranger)
    login = {"identifier": ann.email, "password": "x", "allow_scope": "files"}
    wanted = {**asking(client_id), **login}
    for name in wanted:
        others = {key: value for key, value in wanted.items() if key != name}
        decision = "allow" if name in login else "deny"
        body = encoded({**others, "decision": decision}) + b"&%s=" % name.encode()
        answer = await stranger.post("/oauth/authorize", content=body + quoted, headers={**FORM, **own_address()})
        assert answer.status_code < 500
        assert "<script>" not in answer.text
        assert "set-cookie" not in answer.headers
    for name in exchanging(client_id, "x"):
        fields = {key: value for key, value in exchanging(client_id, "x").items() if key != name}
        body = encoded(fields) + b"&%s=" % name.encode()
        answer = await stranger.post("/oauth/token", content=body + quoted, headers={**FORM, **own_address()})
        assert answer.status_code == 400, name


@pytest.mark.parametrize("path", ["/oauth/authorize", "/oauth/token", "/oauth/revoke"])
async def test_what_is_no_form_is_refused(stranger: Http, path: str) -> None:
    for body, kind in ((b"{}", "application/json"), (b"--x--", "multipart/form-data; boundary=x"), (b"a=1", "")):
        answer = await stranger.post(path, content=body, headers={"Content-Type": kind})
        assert answer.status_code == 400
    for method in ("PUT", "DELETE", "PATCH"):
        assert (await stranger.request(method, path)).status_code == 405
    assert (await stranger.get("/oauth/nothing")).status_code == 404
