"""The whole of the settings."""

from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from cloudyard.foundation.settings.billing import BillingSettings
from cloudyard.foundation.settings.database import DatabaseSettings
from cloudyard.foundation.settings.files import FileSettings
from cloudyard.foundation.settings.inference import InferenceSettings
from cloudyard.foundation.settings.limits import LimitSettings
from cloudyard.foundation.settings.mail import MailBackend, MailSettings
from cloudyard.foundation.settings.notifications import NotificationSettings
from cloudyard.foundation.settings.oauth import OAuthSettings
from cloudyard.foundation.settings.payments import PaymentSettings
from cloudyard.foundation.settings.push import PushSettings
from cloudyard.foundation.settings.security import SecuritySettings
from cloudyard.foundation.settings.server import ServerSettings
from cloudyard.foundation.settings.sign_in import SignInSettings
from cloudyard.foundation.settings.telemetry import TelemetrySettings
from cloudyard.foundation.settings.webhooks import WebhookSettings

CONFIG_FILE = "cloudyard.toml"
DEFAULT_DATA_DIR = Path("data")
DEVELOPMENT_ORIGINS = ("http://localhost:3000",)
"""Where the published documents expect a front end under development."""


class Profile(StrEnum):
    """How careful the defaults are."""

    DEVELOPMENT = "development"
    PRODUCTION = "production"


class _Sourced(BaseSettings):
    """Where settings come from: arguments win over the environment, the environment over the files."""

    model_config = SettingsConfigDict(
        env_prefix="CLOUDYARD_", env_nested_delimiter="__", env_ignore_empty=True, toml_file=CONFIG_FILE
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, environment, files; the last file wins over those before it, name by name."""
        return init_settings, _Environment(settings_cls), TomlConfigSettingsSource(settings_cls, deep_merge=True)


class _Environment(EnvSettingsSource):
    """The environment, which also hands over areas that do not exist, so that they are refused by name.

    A variable without an area, such as CLOUDYARD_API_KEY, may belong to another program and is left alone.
    """

    def __call__(self) -> dict[str, Any]:
        found = super().__call__()
        delimiter = self.env_nested_delimiter or "__"
        for variable, value in self.env_vars.items():
            area, nested, _ = variable.removeprefix(self.env_prefix.lower()).partition(delimiter)
            if nested and variable.startswith(self.env_prefix.lower()) and area not in self.settings_cls.model_fields:
                found[area] = value
        return found


class _Location(_Sourced):
    """The one setting that says where further settings are."""

    model_config = SettingsConfigDict(extra="ignore")

    data_dir: Path = DEFAULT_DATA_DIR


class Settings(_Sourced):
    """Everything that can be set, by `CLOUDYARD_AREA__NAME` or in `cloudyard.toml`. The environment wins."""

    model_config = SettingsConfigDict(extra="forbid")

    profile: Profile = Field(
        Profile.PRODUCTION,
        description="`development` writes mail to files, maps the documents' model names and lets "
        "a front end on http://localhost:3000 call.",
    )
    data_dir: Path = Field(DEFAULT_DATA_DIR, description="Everything that Cloudyard writes lies below.")
    admin_email: str | None = Field(None, description="E-mail of the first administrator.")
    admin_password: SecretStr | None = Field(None, description="Password of the first administrator.")

    server: ServerSettings = Field(default_factory=ServerSettings)
    database: DatabaseSettings = Field(default_factory=DatabaseSettings)
    security: SecuritySettings = Field(default_factory=SecuritySettings)
    sign_in: SignInSettings = Field(default_factory=SignInSettings)
    mail: MailSettings = Field(default_factory=MailSettings)
    oauth: OAuthSettings = Field(default_factory=OAuthSettings)
    notifications: NotificationSettings = Field(default_factory=NotificationSettings)
    push: PushSettings = Field(default_factory=PushSettings)
    files: FileSettings = Field(default_factory=FileSettings)
    limits: LimitSettings = Field(default_factory=LimitSettings)
    billing: BillingSettings = Field(default_factory=BillingSettings)
    payments: PaymentSettings = Field(default_factory=PaymentSettings)
    webhooks: WebhookSettings = Field(default_factory=WebhookSettings)
    inference: InferenceSettings = Field(default_factory=InferenceSettings)
    telemetry: TelemetrySettings = Field(default_factory=TelemetrySettings)

    @property
    def development(self) -> bool:
        """Whether the development profile is on."""
        return self.profile is Profile.DEVELOPMENT

    @property
    def mail_backend(self) -> MailBackend:
        """What sends mail, with the profile's default filled in: a server never falls back on files by itself."""
        return self.mail.backend or ("file" if self.development else "none")

    @property
    def webhook_loopback(self) -> bool:
        """Whether webhooks may go to this machine itself, with the profile's default filled in."""
        given = self.webhooks.allow_loopback
        return self.development if given is None else given

    @property
    def push_contact(self) -> str | None:
        """At which address push services reach the operator, with the default filled in."""
        if self.push.contact is not None or self.admin_email is not None:
            return self.push.contact or f"mailto:{self.admin_email}"
        public = self.server.public_url or ""
        return public if public.startswith("https://") else None

    @property
    def cors_origins(self) -> tuple[str, ...]:
        """Origins that browsers may call from, with the profile's default filled in."""
        given = self.server.cors_origins
        if given is None:
            return DEVELOPMENT_ORIGINS if self.development else ()
        return tuple(given)

    @property
    def database_url(self) -> str:
        """The database's URL, with the default filled in."""
        return self.database.url or f"sqlite:///{self.data_dir.resolve() / 'cloudyard.db'}"


def load_settings(data_dir: Path | None = None, **overrides: object) -> Settings:
    """Read the settings: arguments, then the environment, then `cloudyard.toml` in the data directory, then the one
    in the working directory.

    The data directory is the argument, else CLOUDYARD_DATA_DIR, else what the file in the working directory says.
    Raises pydantic's ValidationError, which names the setting at fault, SettingsError for a variable, and
    TOMLDecodeError, UnicodeDecodeError or OSError for a file that cannot be read.
    """
    folder = data_dir if data_dir is not None else _Location().data_dir
    files = [Path(CONFIG_FILE), folder / CONFIG_FILE]

    class Loaded(Settings):
        model_config = SettingsConfigDict(toml_file=files)

    return Loaded(data_dir=folder, **overrides)  # type: ignore[arg-type]
