"""The whole of the settings."""

from enum import StrEnum
from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from cloudyard.foundation.settings.billing import BillingSettings
from cloudyard.foundation.settings.database import DatabaseSettings
from cloudyard.foundation.settings.files import FileSettings
from cloudyard.foundation.settings.inference import InferenceSettings
from cloudyard.foundation.settings.limits import LimitSettings
from cloudyard.foundation.settings.mail import MailSettings
from cloudyard.foundation.settings.security import SecuritySettings
from cloudyard.foundation.settings.server import ServerSettings
from cloudyard.foundation.settings.telemetry import TelemetrySettings

CONFIG_FILE = "cloudyard.toml"


class Profile(StrEnum):
    """How careful the defaults are."""

    DEVELOPMENT = "development"
    PRODUCTION = "production"


class Settings(BaseSettings):
    """Everything that can be set, by `CLOUDYARD_AREA__NAME` or in `cloudyard.toml`. The environment wins."""

    model_config = SettingsConfigDict(
        env_prefix="CLOUDYARD_", env_nested_delimiter="__", extra="forbid", toml_file=CONFIG_FILE
    )

    profile: Profile = Field(Profile.PRODUCTION, description="`development` maps the documents' model names.")
    data_dir: Path = Field(Path("data"), description="Everything that Cloudyard writes lies below.")
    admin_email: str | None = Field(None, description="E-mail of the first administrator.")
    admin_password: SecretStr | None = Field(None, description="Password of the first administrator.")

    server: ServerSettings = Field(default_factory=ServerSettings)
    database: DatabaseSettings = Field(default_factory=DatabaseSettings)
    security: SecuritySettings = Field(default_factory=SecuritySettings)
    mail: MailSettings = Field(default_factory=MailSettings)
    files: FileSettings = Field(default_factory=FileSettings)
    limits: LimitSettings = Field(default_factory=LimitSettings)
    billing: BillingSettings = Field(default_factory=BillingSettings)
    inference: InferenceSettings = Field(default_factory=InferenceSettings)
    telemetry: TelemetrySettings = Field(default_factory=TelemetrySettings)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments win over the environment, the environment over the file."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)

    @property
    def development(self) -> bool:
        """Whether the development profile is on."""
        return self.profile is Profile.DEVELOPMENT

    @property
    def database_url(self) -> str:
        """The database's URL, with the default filled in."""
        return self.database.url or f"sqlite:///{self.data_dir.resolve() / 'cloudyard.db'}"


def load_settings(data_dir: Path | None = None, **overrides: object) -> Settings:
    """Read the settings; a `cloudyard.toml` in `data_dir` is read too, after the one in the working directory.

    Raises pydantic's ValidationError, which names the setting at fault.
    """
    if data_dir is not None:
        overrides["data_dir"] = data_dir
    base = data_dir or Settings.model_construct().data_dir
    files = [Path(CONFIG_FILE), Path(base) / CONFIG_FILE]

    class Loaded(Settings):
        model_config = SettingsConfigDict(toml_file=files)

    return Loaded(**overrides)  # type: ignore[arg-type]
