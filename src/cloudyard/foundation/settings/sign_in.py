"""Signing in through somebody else: Google and other OpenID Connect providers."""

import re
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from cloudyard.foundation.settings.area import Area
from cloudyard.foundation.urls import is_private

GOOGLE = "google"
GOOGLE_ISSUER = "https://accounts.google.com"

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_PLAIN = re.compile(r"[!-\[\]-~]+")  # visible ASCII without the backslash, which browsers read as a slash


def _checked_url(url: str) -> str:
    if _PLAIN.fullmatch(url) is None or not is_private(url):
        raise ValueError(f"{url!r} must be an https URL, or an http URL of this machine (localhost, 127.0.0.1)")
    parts = urlsplit(url)
    if parts.port == 0 or "@" in parts.netloc or "#" in url:
        raise ValueError(f"{url!r} must have no user name, no fragment and a real port")
    return url


class SignInProviderSettings(Area):
    """A provider under a name of your choice; `google` is Google."""

    issuer: str = Field(
        "",
        description="Its issuer, exactly as its discovery document says; default: Google's for the name `google`, "
        "required for any other.",
    )
    client_id: str = Field(min_length=1, description="Client id that the provider gave to this installation.")
    client_secret: SecretStr | None = Field(
        None, description="Client secret; none for a public client, which PKCE alone protects."
    )
    client_secret_in: Literal["header", "form"] | None = Field(
        None,
        description="How the secret is sent; default: in the header, unless the provider takes it in the form alone.",
    )
    scopes: list[str] = Field(
        default_factory=lambda: ["openid", "email", "profile"], description="What is asked for; `openid` is needed."
    )
    trust_emails: bool = Field(
        False,
        description="Take an address as verified where the provider does not say whether it is (Microsoft Entra never "
        "does). Only for a provider whose every address your own organisation assigns.",
    )
    title: str = Field("", description="What people read on the button; default: the name with a capital letter.")

    @field_validator("issuer")
    @classmethod
    def _issuer(cls, value: str) -> str:
        if value and urlsplit(_checked_url(value)).query:
            raise ValueError(f"{value!r} must have no query: it is an issuer")
        return value

    @field_validator("scopes")
    @classmethod
    def _scopes(cls, value: list[str]) -> list[str]:
        if "openid" not in value:
            raise ValueError("needs `openid`, without which there is no ID token")
        return value


class SignInSettings(Area):
    """Sign-in through OpenID Connect providers. Without a provider people have a password here."""

    redirect_uris: list[str] = Field(
        default_factory=list,
        description="Where apps may have their users sent back to; compared character by character.",
    )
    timeout_seconds: float = Field(10, gt=0, description="Give up on a provider after this long in all.")
    providers: dict[str, SignInProviderSettings] = Field(
        default_factory=dict, description="Providers by name, e.g. `google`."
    )

    @field_validator("redirect_uris")
    @classmethod
    def _redirect_uris(cls, value: list[str]) -> list[str]:
        return [_checked_url(uri) for uri in value]

    @model_validator(mode="after")
    def _complete(self) -> "SignInSettings":
        for name, provider in self.providers.items():
            if _NAME.fullmatch(name) is None:
                raise ValueError(f"the provider's name {name!r} must be lower-case letters, digits, `_` and `-`")
            if not provider.issuer and name != GOOGLE:
                raise ValueError(f"providers.{name}.issuer is missing")
            provider.issuer = provider.issuer or GOOGLE_ISSUER
            provider.title = provider.title or name.capitalize()
        return self
