"""OAuth Login of the document: signing in through Google and other providers, as a browser and an app do it."""

import secrets
from http.cookies import SimpleCookie
from urllib.parse import urlsplit

import httpx2
import pytest
from aihub_mail import mailed_token
from aihub_people import PASSWORD, build, new_person, settings_for, stranger
from aihub_sign_in import (
    ACCOUNT,
    ACME,
    APP,
    GOOGLE,
    at_provider,
    come_back,
    email_of,
    exchange,
    leave,
    problem,
    sign_in,
    told,
)

from cloudyard.domains.identity import UserStatus
from cloudyard.domains.identity.hashing import code_challenge
from cloudyard.foundation.settings.sign_in import SignInSettings
from cloudyard.testing.installation import Installation, installation
from cloudyard.testing.oidc_provider import LoopbackProvider, query_of
from cloudyard.testing.waiting import eventually


@pytest.mark.parametrize("path", [GOOGLE, ACME])
def test_a_newcomer_signs_in(
    sign_in_server: Installation, browser: httpx2.Client, google: LoopbackProvider, path: str
) -> None:
    url = leave(browser, path)
    assert url.startswith(f"{google.issuer}/authorize?")
    assert query_of(url)["redirect_uri"] == f"{sign_in_server.url}/aihub{path}/callback"
    back = come_back(browser, at_provider(url))
    assert set(back) == {"from", "code"}
    answer = exchange(browser, back["code"])
    assert answer.status_code == 200, answer.text
    data = answer.json()["data"]
    assert set(data) == {"user", "tokens"}
    assert set(data["user"]) == ACCOUNT
    shown = {name: data["user"][name] for name in ("email", "firstName", "lastName", "role", "emailVerified")}
    assert shown == {
        "email": email_of(google),
        "firstName": "John",
        "lastName": "Doe",
        "role": "user",
        "emailVerified": True,
    }
    headers = {"Authorization": f"Bearer {data['tokens']['accessToken']}"}
    assert browser.get("/api/users/me", headers=headers).json()["data"]["id"] == data["user"]["id"]
    assert browser.get("/api/credits/balance", headers=headers).json()["data"]["balance"] == 1000
    refreshed = browser.post("/api/auth/refresh", json={"refreshToken": data["tokens"]["refreshToken"]})
    assert refreshed.status_code == 200
    notifications = sign_in_server.services.notifications
    listed = sign_in_server.run(
        eventually(lambda: notifications.list(data["user"]["id"], limit=5), lambda found: found[1])
    )
    assert [each.title for each in listed[0]] == ["Welcome to Cloudyard"]


def test_the_second_time_it_is_the_same_account(browser: httpx2.Client, google: LoopbackProvider) -> None:
    users = [exchange(browser, sign_in(browser)["code"]).json()["data"]["user"] for _ in range(2)]
    assert users[0] == users[1]


def test_both_names_of_a_provider_are_one_issuer(browser: httpx2.Client, google: LoopbackProvider) -> None:
    users = [exchange(browser, sign_in(browser, path)["code"]).json()["data"]["user"]["id"] for path in (GOOGLE, ACME)]
    assert users[0] == users[1]


def test_a_code_is_good_once(browser: httpx2.Client) -> None:
    code = sign_in(browser)["code"]
    assert exchange(browser, code).status_code == 200
    again = exchange(browser, code)
    assert (again.status_code, problem(again)["code"]) == (401, "AUTHENTICATION_FAILED")


def test_the_state_of_the_app_comes_back(browser: httpx2.Client) -> None:
    assert sign_in(browser, state="a&b=c d/\u00e4")["state"] == "a&b=c d/\u00e4"


def test_the_code_is_for_the_app_that_has_the_verifier(browser: httpx2.Client) -> None:
    verifier = secrets.token_urlsafe(32)
    code = sign_in(browser, code_challenge=code_challenge(verifier))["code"]
    assert exchange(browser, code, codeVerifier=verifier).status_code == 200
    stolen = sign_in(browser, code_challenge=code_challenge(verifier))["code"]
    assert exchange(browser, stolen).status_code == 401


def test_the_cookie_is_the_browsers_alone(browser: httpx2.Client) -> None:
    answer = browser.get(GOOGLE, params={"redirect_uri": APP})
    (cookie,) = SimpleCookie(answer.headers["set-cookie"]).values()
    assert cookie.key.startswith("cloudyard_sign_in_")
    assert (cookie["httponly"], cookie["samesite"], cookie["path"], cookie["max-age"]) == (True, "lax", "/", "600")
    assert not cookie["secure"] and not cookie["domain"]
    state = query_of(answer.headers["location"])["state"]
    assert cookie.value not in answer.headers["location"] and state not in cookie.OutputString()
    back = browser.get(at_provider(answer.headers["location"]))
    (forgotten,) = SimpleCookie(back.headers["set-cookie"]).values()
    assert (forgotten.key, forgotten["max-age"]) == (cookie.key, "0")
    assert len(browser.cookies) == 0


def test_by_https_no_other_host_can_plant_the_cookie(browser: httpx2.Client) -> None:
    by_https = {"X-Forwarded-Proto": "https"}
    answer = browser.get(GOOGLE, params={"redirect_uri": APP}, headers=by_https)
    (cookie,) = SimpleCookie(answer.headers["set-cookie"]).values()
    assert cookie.key.startswith("__Host-cloudyard_sign_in_")
    assert cookie["secure"] is True and cookie["path"] == "/" and not cookie["domain"]
    callback = at_provider(answer.headers["location"])
    assert callback.startswith("https://")
    sent = by_https | {"Cookie": f"{cookie.key}={cookie.value}"}
    parts = urlsplit(callback)
    back = browser.get(f"{parts.path.removeprefix('/aihub')}?{parts.query}", headers=sent)
    assert "code" in told(back.headers["location"])


def test_two_tabs_do_not_disturb_each_other(browser: httpx2.Client) -> None:
    first, second = at_provider(leave(browser)), at_provider(leave(browser, ACME))
    assert "code" in come_back(browser, first)
    assert "code" in come_back(browser, second)


def test_the_providers_are_listed(browser: httpx2.Client, client: httpx2.Client) -> None:
    listed = browser.get("/api/auth/providers").json()["data"]
    assert listed == [
        {"name": "google", "title": "Google", "path": GOOGLE},
        {"name": "acme", "title": "Acme", "path": ACME},
    ]
    assert client.get("/api/auth/providers").json()["data"] == []


def test_the_owner_of_an_address_takes_the_account_over(
    sign_in_server: Installation, browser: httpx2.Client, google: LoopbackProvider
) -> None:
    """The advice of the refusal works: prove the address, then sign in."""
    person = new_person(sign_in_server)
    google.signs_in(f"subject-of-{person.id}", person.email)
    assert sign_in(browser)["error"] == "account_email_not_verified"
    with stranger(sign_in_server) as app:
        app.post("/api/auth/forgot-password", json={"email": person.email})
        reset = {"token": mailed_token(sign_in_server, person.email), "newPassword": "newSecurePassword123"}
        assert app.post("/api/auth/reset-password", json=reset).status_code == 200
    user = exchange(browser, sign_in(browser)["code"]).json()["data"]["user"]
    assert (user["id"], user["emailVerified"]) == (person.id, True)


def test_who_came_by_a_provider_may_set_a_password(
    sign_in_server: Installation, browser: httpx2.Client, google: LoopbackProvider
) -> None:
    email = email_of(google)
    user = exchange(browser, sign_in(browser)["code"]).json()["data"]["user"]
    login = {"email": email, "password": PASSWORD}
    with stranger(sign_in_server) as app:
        assert app.post("/api/auth/login", json=login).status_code == 401
        app.post("/api/auth/forgot-password", json={"email": email})
        reset = {"token": mailed_token(sign_in_server, email), "newPassword": PASSWORD}
        assert app.post("/api/auth/reset-password", json=reset).status_code == 200
        assert app.post("/api/auth/login", json=login).json()["data"]["user"]["id"] == user["id"]
    assert exchange(browser, sign_in(browser)["code"]).json()["data"]["user"]["id"] == user["id"]


def test_the_suspended_stay_out(sign_in_server: Installation, browser: httpx2.Client) -> None:
    code = sign_in(browser)["code"]
    user_id = exchange(browser, sign_in(browser)["code"]).json()["data"]["user"]["id"]
    sign_in_server.run(sign_in_server.services.users.set_status(user_id, UserStatus.SUSPENDED))
    answer = exchange(browser, code)  # suspension ended it
    assert (answer.status_code, problem(answer)["code"]) == (401, "AUTHENTICATION_FAILED")
    assert sign_in(browser)["error"] == "account_suspended"


def test_the_public_address_is_where_the_provider_sends_people_back(
    tmp_path_factory: pytest.TempPathFactory, google: LoopbackProvider
) -> None:
    sign_in_settings = SignInSettings(providers={"google": google.settings()}, redirect_uris=[APP])
    settings = settings_for(tmp_path_factory.mktemp("public"))
    server_settings = settings.server.model_copy(update={"public_url": "https://cloud.example/"})
    settings = settings.model_copy(update={"sign_in": sign_in_settings, "server": server_settings})
    with installation(settings, build) as running, stranger(running) as browser:
        url = leave(browser)
    assert query_of(url)["redirect_uri"] == "https://cloud.example/aihub/api/auth/google/callback"
