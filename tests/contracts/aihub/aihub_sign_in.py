"""A browser, an app, and a provider that an installation knows by two names."""

import secrets
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from aihub_people import build, settings_for, stranger

from cloudyard.foundation.settings.sign_in import SignInSettings
from cloudyard.testing.installation import Installation, installation
from cloudyard.testing.oidc_provider import LoopbackProvider, loopback_provider, query_of

APP = "https://your-app.com/auth/callback?from=login"
GOOGLE = "/api/auth/google"
ACME = "/api/auth/oidc/acme"
ACCOUNT = {"id", "email", "firstName", "lastName", "role", "emailVerified", "createdAt"}


@pytest.fixture(scope="module")
def running_provider() -> Iterator[LoopbackProvider]:
    with loopback_provider() as running:
        yield running


@pytest.fixture(scope="module")
def sign_in_server(
    tmp_path_factory: pytest.TempPathFactory, running_provider: LoopbackProvider
) -> Iterator[Installation]:
    """An installation where the provider is known twice: as Google and as Acme."""
    sign_in = SignInSettings(
        providers={"google": running_provider.settings(title="Google"), "acme": running_provider.settings()},
        redirect_uris=[APP],
        timeout_seconds=30,
    )
    settings = settings_for(tmp_path_factory.mktemp("sign-in")).model_copy(update={"sign_in": sign_in})
    with installation(settings, build) as running:
        yield running


@pytest.fixture
def google(running_provider: LoopbackProvider) -> LoopbackProvider:
    """The provider as it should be, with a new person at it."""
    running_provider.answers.clear()
    number = secrets.token_hex(4)
    running_provider.signs_in(f"subject-{number}", f"{number}@example.com", given_name="John", family_name="Doe")
    return running_provider


@pytest.fixture
def browser(sign_in_server: Installation, google: LoopbackProvider) -> Iterator[httpx2.Client]:
    """A browser: it keeps cookies, and goes where it is sent one step at a time."""
    with stranger(sign_in_server) as client:
        yield client


def email_of(provider: LoopbackProvider) -> str:
    return str(provider.person["email"])


def leave(browser: httpx2.Client, path: str = GOOGLE, **changes: str) -> str:
    """Where the browser is sent."""
    answer = browser.get(path, params={"redirect_uri": APP, **changes})
    assert answer.status_code == 302, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return str(answer.headers["location"])


def at_provider(url: str) -> str:
    """Where the provider sends the browser back to; it sees none of its cookies."""
    answer = httpx2.get(url)
    assert answer.status_code == 302, answer.text
    return str(answer.headers["location"])


def come_back(browser: httpx2.Client, callback: str) -> dict[str, str]:
    """What the app is told."""
    answer = browser.get(callback)
    assert answer.status_code == 302, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return told(answer.headers["location"])


def told(location: str) -> dict[str, str]:
    assert location.startswith(f"{APP}&"), location
    return query_of(location)


def sign_in(browser: httpx2.Client, path: str = GOOGLE, **changes: str) -> dict[str, str]:
    return come_back(browser, at_provider(leave(browser, path, **changes)))


def exchange(browser: httpx2.Client, code: str, **more: str) -> httpx2.Response:
    return browser.post("/api/auth/exchange", json={"code": code, **more})


def problem(answer: httpx2.Response) -> dict[str, Any]:
    found: dict[str, Any] = answer.json()
    assert set(found) == {"success", "error", "meta"}
    assert found["success"] is False
    error: dict[str, Any] = found["error"]
    return error
