"""Which providers and addresses can be set, and that a slip of the pen is refused."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from cloudyard.foundation.settings import Settings, load_settings
from cloudyard.foundation.settings.sign_in import GOOGLE_ISSUER, SignInSettings

CLIENT = {"client_id": "id", "client_secret": "a secret"}


def test_google_is_known_by_its_name() -> None:
    (google,) = SignInSettings.model_validate({"providers": {"google": CLIENT}}).providers.values()
    assert (google.issuer, google.title) == (GOOGLE_ISSUER, "Google")
    assert google.scopes == ["openid", "email", "profile"]
    assert "a secret" not in repr(google)


def test_any_other_needs_its_issuer() -> None:
    settings = SignInSettings.model_validate({"providers": {"acme": CLIENT | {"issuer": "https://id.acme.example"}}})
    assert (settings.providers["acme"].issuer, settings.providers["acme"].title) == ("https://id.acme.example", "Acme")
    with pytest.raises(ValidationError, match=r"providers\.acme\.issuer is missing"):
        SignInSettings.model_validate({"providers": {"acme": CLIENT}})


def test_the_environment_is_enough(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLOUDYARD_SIGN_IN__PROVIDERS__GOOGLE__CLIENT_ID", "an id")
    monkeypatch.setenv("CLOUDYARD_SIGN_IN__PROVIDERS__GOOGLE__CLIENT_SECRET", "a secret")
    monkeypatch.setenv("CLOUDYARD_SIGN_IN__REDIRECT_URIS", '["https://your-app.com/auth/callback"]')
    found = load_settings().sign_in
    assert found.providers["google"].client_id == "an id"
    assert found.redirect_uris == ["https://your-app.com/auth/callback"]


def test_by_default_nobody_else_is_trusted() -> None:
    assert Settings().sign_in.providers == {} and Settings().sign_in.redirect_uris == []


@pytest.mark.parametrize(
    "uri",
    [
        "https://your-app.com/auth/callback",
        "https://your-app.com:8443/callback?from=login",
        "http://localhost:3000/callback",
        "http://127.0.0.1/callback",
        "http://[::1]:3000/callback",
    ],
)
def test_addresses_that_can_be_listed(uri: str) -> None:
    assert SignInSettings(redirect_uris=[uri]).redirect_uris == [uri]


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "/callback",
        "your-app.com/callback",
        "https://",
        "https:///callback",
        "http://your-app.com/callback",
        "http://localhost.evil.example/callback",
        "http://127.0.0.1@evil.example/callback",
        "https://user@your-app.com/callback",
        "https://your-app.com/callback#part",
        "https://your-app.com\\@evil.example/callback",
        "https://your-app.com/call back",
        "https://your-app.com/\ncallback",
        "https://your-app.com:port/callback",
        "https://your-app.com:99999/callback",
        "https://[::1/callback",
        "javascript:alert(1)",
        "data:text/html,hi",
    ],
)
def test_addresses_that_cannot_be_listed(uri: str) -> None:
    with pytest.raises(ValidationError):
        SignInSettings(redirect_uris=[uri])


@pytest.mark.parametrize(
    "wrong",
    [
        {"issuer": "http://id.acme.example"},
        {"issuer": "https://id.acme.example?tenant=1"},
        {"issuer": "https://id.acme.example#part"},
        {"client_id": ""},
        {"client_secret_in": "cookie"},
        {"scopes": ["email"]},
        {"secret": "misspelt"},
    ],
)
def test_providers_that_cannot_be(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        SignInSettings.model_validate({"providers": {"acme": CLIENT | {"issuer": "https://id.acme.example"} | wrong}})


@pytest.mark.parametrize("name", ["Google", "my idp", "", "-x", "x" * 33, "a/b"])
def test_names_that_no_path_can_carry(name: str) -> None:
    with pytest.raises(ValidationError, match="lower-case letters"):
        SignInSettings.model_validate({"providers": {name: CLIENT | {"issuer": "https://id.acme.example"}}})
