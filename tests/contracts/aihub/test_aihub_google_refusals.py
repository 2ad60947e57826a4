"""Sign-ins that are refused: by whom, with which answer, and sent where."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from aihub_people import build, settings_for, stranger
from aihub_sign_in import ACME, APP, GOOGLE, at_provider, come_back, leave, problem, sign_in, told
from starlette.responses import JSONResponse, Response

from cloudyard.foundation.settings.sign_in import SignInSettings
from cloudyard.testing.installation import Installation, installation
from cloudyard.testing.oidc_provider import LoopbackProvider, query_of


def test_another_browser_cannot_finish_it(sign_in_server: Installation, browser: httpx2.Client) -> None:
    """Who follows a link that somebody else prepared is not signed in as that somebody."""
    callback = at_provider(leave(browser))
    with stranger(sign_in_server) as victim:
        answer = victim.get(callback)
    assert (answer.status_code, problem(answer)["code"]) == (400, "VALIDATION_ERROR")
    assert "location" not in answer.headers
    assert browser.get(callback).status_code == 400


def test_a_way_back_is_good_once(browser: httpx2.Client) -> None:
    callback = at_provider(leave(browser))
    come_back(browser, callback)
    again = browser.get(callback)
    assert (again.status_code, problem(again)["code"]) == (400, "VALIDATION_ERROR")


@pytest.mark.parametrize("query", ["", "?state=", "?state=made-up&code=x", "?code=x", "?error=access_denied"])
def test_a_way_back_that_nobody_went_is_refused(browser: httpx2.Client, query: str) -> None:
    answer = browser.get(f"{GOOGLE}/callback{query}")
    assert (answer.status_code, problem(answer)["code"]) == (400, "VALIDATION_ERROR")
    assert "Start again" in problem(answer)["message"]


def test_a_way_back_leads_through_its_own_provider(browser: httpx2.Client) -> None:
    callback = at_provider(leave(browser, ACME))
    assert browser.get(f"{GOOGLE}/callback?{urlsplit(callback).query}").status_code == 400


@pytest.mark.parametrize(
    "uri",
    [
        "https://your-app.com/auth/callback",
        APP + "&x=1",
        APP + "#fragment",
        "https://your-app.com@evil.example/auth/callback?from=login",
        "https://your-app.com:8443/auth/callback?from=login",
        "https://your-app.com/auth/../auth/callback?from=login",
        "https://evil.example/",
        "",
    ],
)
def test_users_go_back_to_listed_addresses_alone(browser: httpx2.Client, uri: str) -> None:
    answer = browser.get(GOOGLE, params={"redirect_uri": uri})
    assert (answer.status_code, problem(answer)["code"]) == (400, "VALIDATION_ERROR")
    assert [detail["field"] for detail in problem(answer)["details"]] == ["redirect_uri"]
    assert "location" not in answer.headers and "set-cookie" not in answer.headers


def test_of_two_addresses_neither_is_smuggled_in(browser: httpx2.Client) -> None:
    answer = browser.get(GOOGLE, params=[("redirect_uri", APP), ("redirect_uri", "https://evil.example/")])
    assert answer.status_code == 400


def test_the_address_is_needed(browser: httpx2.Client) -> None:
    answer = browser.get(GOOGLE)
    assert (answer.status_code, problem(answer)["code"]) == (422, "VALIDATION_ERROR")


@pytest.mark.parametrize("path", [GOOGLE, "/api/auth/oidc/google", "/api/auth/oidc/acme"])
def test_a_provider_that_nobody_configured(client: httpx2.Client, path: str) -> None:
    answer = client.get(path, params={"redirect_uri": "https://your-app.com/auth/callback"})
    assert (answer.status_code, problem(answer)["code"]) == (503, "SERVICE_UNAVAILABLE")
    assert f"sign_in.providers.{path.rsplit('/', 1)[1]}.client_id" in problem(answer)["message"]


def test_a_name_that_cannot_be_one_is_refused(browser: httpx2.Client) -> None:
    assert browser.get("/api/auth/oidc/Not%20A%20Name", params={"redirect_uri": APP}).status_code == 422


def test_who_says_no_at_the_provider_comes_back_with_that(browser: httpx2.Client) -> None:
    state = query_of(leave(browser, state="mine"))["state"]
    back = come_back(browser, f"{GOOGLE}/callback?error=access_denied&state={state}")
    assert set(back) == {"from", "error", "error_description", "state"}
    assert (back["error"], back["state"]) == ("access_denied", "mine")


Answer = Callable[[], Response]


@pytest.mark.parametrize(
    ("path", "answer", "error"),
    [
        ("/token", lambda: JSONResponse({"error": "server_error"}, 500), "identity_provider_unavailable"),
        ("/token", lambda: JSONResponse({"id_token": "garbage"}), "identity_provider_refused"),
        ("/token", lambda: JSONResponse({"error": "invalid_grant"}, 400), "identity_provider_refused"),
        ("/token", lambda: Response(b"\xff" * 100), "identity_provider_refused"),
    ],
)
def test_a_provider_that_fails_is_told_to_the_app(
    browser: httpx2.Client, google: LoopbackProvider, path: str, answer: Answer, error: str
) -> None:
    google.answers[path] = answer
    back = sign_in(browser)
    assert back["error"] == error
    assert "code" not in back and len(back["error_description"]) > 20


def test_a_provider_that_is_down_from_the_start_is_told_to_the_app(
    tmp_path_factory: pytest.TempPathFactory, google: LoopbackProvider
) -> None:
    gone = google.settings(issuer="http://127.0.0.1:1")
    sign_in_settings = SignInSettings(providers={"google": gone}, redirect_uris=[APP], timeout_seconds=5)
    settings = settings_for(tmp_path_factory.mktemp("gone")).model_copy(update={"sign_in": sign_in_settings})
    with installation(settings, build) as running, stranger(running) as browser:
        answer = browser.get(GOOGLE, params={"redirect_uri": APP, "state": "mine"})
    assert answer.status_code == 302
    back = told(answer.headers["location"])
    assert (back["error"], back["state"]) == ("identity_provider_unavailable", "mine")
    assert "127.0.0.1" not in back["error_description"]
    assert "set-cookie" not in answer.headers


def test_an_address_that_is_not_vouched_for_is_refused(browser: httpx2.Client, google: LoopbackProvider) -> None:
    google.signs_in("somebody", "somebody@example.com", verified=False)
    back = sign_in(browser)
    assert back["error"] == "provider_email_not_verified"
    assert "Google" in back["error_description"]


@pytest.mark.parametrize("body", [{}, {"code": None}, {"code": 42}, {"code": "x", "codeVerifier": 42}])
def test_an_exchange_without_a_code_names_the_field(browser: httpx2.Client, body: dict[str, Any]) -> None:
    answer = browser.post("/api/auth/exchange", json=body)
    assert (answer.status_code, problem(answer)["code"]) == (422, "VALIDATION_ERROR")
    assert problem(answer)["details"]


def test_signing_in_is_limited_as_logins_are(browser: httpx2.Client) -> None:
    answers = [browser.get(f"{GOOGLE}/callback") for _ in range(11)]
    assert [answer.status_code for answer in answers] == [400] * 10 + [429]
    assert answers[0].headers["x-ratelimit-limit"] == "10"
    assert browser.get(GOOGLE, params={"redirect_uri": APP}).status_code == 429
