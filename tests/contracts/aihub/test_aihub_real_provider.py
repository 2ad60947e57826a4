"""Signing in through an OpenID Connect provider that others wrote, as a person at a browser does it."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx2
import pytest
from aihub_people import build, settings_for, stranger

from cloudyard.foundation.settings.sign_in import SignInSettings
from cloudyard.testing.installation import Installation, installation
from cloudyard.testing.nano_idp import NanoIdp, nano_idp
from cloudyard.testing.oidc_provider import query_of

APP = "http://localhost:3000/auth/callback"
PEOPLE = {name: {"password": f"password of {name}", "email": f"{name}@example.com"} for name in ("ada", "grace")}


@pytest.fixture(scope="module")
def provider() -> NanoIdp:
    return nano_idp()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, provider: NanoIdp) -> Iterator[Installation]:
    folder: Path = tmp_path_factory.mktemp("nano")
    sign_in = SignInSettings(providers={"nano": provider.settings()}, redirect_uris=[APP], timeout_seconds=30)
    settings = settings_for(folder / "data").model_copy(update={"sign_in": sign_in})
    with installation(settings, build) as running:
        callback = f"{running.url}/aihub/api/auth/oidc/nano/callback"
        with provider.running(folder / "idp", [callback], PEOPLE):
            yield running


@pytest.fixture
def browser(server: Installation) -> Iterator[httpx2.Client]:
    with stranger(server) as client:
        yield client


def to_provider(browser: httpx2.Client) -> str:
    answer = browser.get("/api/auth/oidc/nano", params={"redirect_uri": APP, "state": "mine"})
    assert answer.status_code == 302, answer.text
    return str(answer.headers["location"])


def submit(browser: httpx2.Client, url: str, name: str, password: str | None = None) -> httpx2.Response:
    """Fill in the provider's login form."""
    page = browser.get(url)
    assert page.status_code == 200, page.text
    transaction = re.search(r'name="transaction_id" value="([\w-]+)"', page.text)
    assert transaction is not None, page.text
    filled = {"transaction_id": transaction[1], "username": name, "password": password or PEOPLE[name]["password"]}
    return browser.post(url, data=filled)


def log_in(browser: httpx2.Client, url: str, name: str) -> dict[str, str]:
    """What the app is told after somebody logged in at the provider."""
    back = submit(browser, url, name)
    assert back.status_code in (302, 303), back.text
    answer = browser.get(back.headers["location"])
    assert answer.status_code == 302, answer.text
    assert answer.headers["location"].startswith(f"{APP}?")
    return query_of(answer.headers["location"])


def user(browser: httpx2.Client, told: dict[str, str]) -> dict[str, object]:
    answer = browser.post("/api/auth/exchange", json={"code": told["code"]})
    assert answer.status_code == 200, answer.text
    found: dict[str, object] = answer.json()["data"]["user"]
    return found


def test_a_person_signs_in_and_comes_again_after_a_change_of_keys(browser: httpx2.Client, provider: NanoIdp) -> None:
    told = log_in(browser, to_provider(browser), "ada")
    assert set(told) == {"code", "state"} and told["state"] == "mine"
    first = user(browser, told)
    assert (first["email"], first["emailVerified"]) == ("ada@example.com", True)

    rotated = httpx2.post(f"{provider.issuer}/api/keys/rotate")
    assert rotated.status_code == 200, rotated.text
    assert user(browser, log_in(browser, to_provider(browser), "ada")) == first


def test_another_person_is_another_user(browser: httpx2.Client) -> None:
    people = [user(browser, log_in(browser, to_provider(browser), name)) for name in ("ada", "grace")]
    assert people[0]["id"] != people[1]["id"]


def test_a_wrong_password_leads_nowhere(browser: httpx2.Client) -> None:
    refused = submit(browser, to_provider(browser), "ada", "wrong")
    assert "location" not in refused.headers
    assert "Invalid username or password" in refused.text


def changed(url: str, **changes: str) -> str:
    parts = urlsplit(url)
    return parts._replace(query=urlencode(dict(parse_qsl(parts.query)) | changes)).geturl()


@pytest.mark.parametrize(
    "change",
    [{"code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"}, {"nonce": "somebody-elses"}],
    ids=["challenge", "nonce"],
)
def test_a_request_that_was_tampered_with_is_refused(browser: httpx2.Client, change: dict[str, str]) -> None:
    told = log_in(browser, changed(to_provider(browser), **change), "grace")
    assert (told["error"], told["state"]) == ("identity_provider_refused", "mine")
    assert "code" not in told


def test_the_provider_sends_people_to_our_callback_alone(browser: httpx2.Client) -> None:
    url = changed(to_provider(browser), redirect_uri="https://evil.example/callback")
    answer = browser.get(url)
    assert "location" not in answer.headers and answer.status_code == 400
