"""Where settings come from, which one wins, and that a slip of the pen is refused."""

import os
import tomllib
from pathlib import Path

import pytest
from pydantic import ValidationError
from pydantic_settings import SettingsError

from cloudyard.foundation.settings import Profile, Settings, load_settings

Environment = pytest.MonkeyPatch


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory and an environment that says nothing."""
    for name in [name for name in os.environ if name.upper().startswith("CLOUDYARD_")]:
        monkeypatch.delenv(name)
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return work


def config(folder: Path, text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cloudyard.toml").write_text(text)


def named(error: ValidationError) -> str:
    return " ".join(".".join(str(part) for part in item["loc"]) for item in error.errors())


def test_without_anything_the_defaults_hold(nowhere: Path) -> None:
    settings = load_settings()
    assert settings.profile is Profile.PRODUCTION and not settings.development
    assert settings.server.port == 8000
    assert settings.data_dir == Path("data")
    assert settings.database_url == f"sqlite:///{nowhere / 'data' / 'cloudyard.db'}"


def test_the_environment_sets_areas_and_lists(monkeypatch: Environment) -> None:
    monkeypatch.setenv("CLOUDYARD_PROFILE", "development")
    monkeypatch.setenv("CLOUDYARD_SERVER__PORT", "9001")
    monkeypatch.setenv("cloudyard_database__url", "postgresql://here/x")
    monkeypatch.setenv("CLOUDYARD_SERVER__CORS_ORIGINS", '["https://a.example"]')
    monkeypatch.setenv("CLOUDYARD_INFERENCE__ALIASES", '{"gpt-4": "mine"}')
    monkeypatch.setenv("CLOUDYARD_ADMIN_PASSWORD", "secret-word")
    settings = load_settings()
    assert settings.development
    assert (settings.server.port, settings.server.cors_origins) == (9001, ["https://a.example"])
    assert settings.database_url == "postgresql://here/x"
    assert settings.inference.aliases == {"gpt-4": "mine"}
    assert "secret-word" not in repr(settings)


def test_production_makes_nothing_easy() -> None:
    settings = Settings()
    assert (settings.mail_backend, settings.cors_origins) == ("none", ())


def test_development_writes_mail_to_files_and_lets_the_documents_front_end_call() -> None:
    settings = Settings(profile=Profile.DEVELOPMENT)
    assert (settings.mail_backend, settings.cors_origins) == ("file", ("http://localhost:3000",))


@pytest.mark.parametrize("profile", Profile)
def test_what_is_set_wins_over_the_profile(profile: Profile) -> None:
    smtp = Settings(profile=profile, mail={"backend": "smtp"}, server={"cors_origins": ["https://a.example"]})
    assert (smtp.mail_backend, smtp.cors_origins) == ("smtp", ("https://a.example",))
    nothing = Settings(profile=profile, mail={"backend": "none"}, server={"cors_origins": []})
    assert (nothing.mail_backend, nothing.cors_origins) == ("none", ())


def test_an_empty_variable_says_nothing(monkeypatch: Environment) -> None:
    monkeypatch.setenv("CLOUDYARD_SERVER__PORT", "")
    monkeypatch.setenv("CLOUDYARD_DATA_DIR", "")
    settings = load_settings()
    assert (settings.server.port, settings.data_dir) == (8000, Path("data"))


def test_the_file_in_the_working_directory(nowhere: Path) -> None:
    config(nowhere, '[server]\nport = 9002\n[billing.prices]\n"model:x" = [{ meter = "call", usd = "0.01" }]\n')
    settings = load_settings()
    assert settings.server.port == 9002
    assert settings.billing.prices["model:x"][0].meter == "call"


def test_who_wins(nowhere: Path, tmp_path: Path, monkeypatch: Environment) -> None:
    """Argument over environment over data directory's file over working directory's file, name by name."""
    data = tmp_path / "elsewhere"
    config(nowhere, "[server]\nport = 1\nhost = 'work'\npublic_url = 'http://work'\ndrain_seconds = 1\n")
    config(data, "[server]\nport = 2\nhost = 'data'\npublic_url = 'http://data'\n")
    monkeypatch.setenv("CLOUDYARD_SERVER__PORT", "3")
    monkeypatch.setenv("CLOUDYARD_SERVER__HOST", "environment")
    settings = load_settings(data, server={"port": 4})
    server = settings.server
    assert (server.port, server.host, server.drain_seconds) == (4, "environment", 1)
    assert server.public_url == "http://data"


def test_the_data_directory_is_found_by_the_environment(tmp_path: Path, monkeypatch: Environment) -> None:
    data = tmp_path / "elsewhere"
    config(data, "[server]\nport = 9003\n")
    monkeypatch.setenv("CLOUDYARD_DATA_DIR", str(data))
    settings = load_settings()
    assert (settings.data_dir, settings.server.port) == (data, 9003)


def test_the_data_directory_is_found_by_the_file_in_the_working_directory(nowhere: Path, tmp_path: Path) -> None:
    data = tmp_path / "elsewhere"
    config(nowhere, f"data_dir = '{data}'\n")
    config(data, "[server]\nport = 9004\n")
    settings = load_settings()
    assert (settings.data_dir, settings.server.port) == (data, 9004)


def test_an_argument_decides_which_data_directory_is_read(tmp_path: Path, monkeypatch: Environment) -> None:
    config(tmp_path / "one", "[server]\nport = 1\n")
    config(tmp_path / "two", "[server]\nport = 2\n")
    monkeypatch.setenv("CLOUDYARD_DATA_DIR", str(tmp_path / "one"))
    settings = load_settings(tmp_path / "two")
    assert (settings.data_dir, settings.server.port) == (tmp_path / "two", 2)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("[server]\nprot = 9\n", "server.prot"),
        ("[sever]\nport = 9\n", "sever"),
        ("porfile = 'development'\n", "porfile"),
        ('[inference.models.mine]\ncolour = "red"\n', "inference.models.mine.colour"),
        ('[billing.prices]\n"x" = [{ meter = "call", usd = 1, pre = 2 }]\n', "billing.prices.x.0.pre"),
    ],
)
def test_a_name_that_does_not_exist_is_refused_in_the_file(nowhere: Path, text: str, name: str) -> None:
    config(nowhere, text)
    with pytest.raises(ValidationError) as caught:
        load_settings()
    assert named(caught.value) == name


@pytest.mark.parametrize(
    ("variable", "name"), [("CLOUDYARD_SERVER__PROT", "server.prot"), ("CLOUDYARD_SEVER__PORT", "sever")]
)
def test_a_name_that_does_not_exist_is_refused_in_the_environment(
    monkeypatch: Environment, variable: str, name: str
) -> None:
    monkeypatch.setenv(variable, "9")
    with pytest.raises(ValidationError) as caught:
        load_settings()
    assert named(caught.value) == name


def test_variables_of_other_programs_are_left_alone(monkeypatch: Environment) -> None:
    monkeypatch.setenv("CLOUDYARD_API_KEY", "for the client")
    monkeypatch.setenv("CLOUDYARD_CRASH_AT", "somewhere")
    monkeypatch.setenv("OTHER_SERVER__PORT", "9")
    assert load_settings().server.port == 8000


@pytest.mark.parametrize(
    ("variable", "value", "name"),
    [
        ("CLOUDYARD_SERVER__PORT", "many", "server.port"),
        ("CLOUDYARD_SERVER__PORT", "70000", "server.port"),
        ("CLOUDYARD_SERVER__TRUSTED_PROXIES", '["10.0.0.1", "foo"]', "server.trusted_proxies"),
        ("CLOUDYARD_SERVER__PUBLIC_URL", "foo", "server.public_url"),
        ("CLOUDYARD_PROFILE", "careless", "profile"),
        ("CLOUDYARD_BILLING__CREDITS_PER_USD", "3", "billing.credits_per_usd"),
        ("CLOUDYARD_BILLING__WELCOME_CREDITS", "-1", "billing.welcome_credits"),
        ("CLOUDYARD_DATABASE__POOL_SIZE", "0", "database.pool_size"),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_name(
    monkeypatch: Environment, variable: str, value: str, name: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ValidationError) as caught:
        load_settings()
    assert named(caught.value) == name


def test_what_cannot_be_read_is_said(nowhere: Path, monkeypatch: Environment) -> None:
    monkeypatch.setenv("CLOUDYARD_SERVER__TRUSTED_PROXIES", "[not json")
    with pytest.raises(SettingsError, match="server"):
        load_settings()
    monkeypatch.delenv("CLOUDYARD_SERVER__TRUSTED_PROXIES")
    monkeypatch.setenv("CLOUDYARD_SERVER__CORS_ORIGINS", "https://a.example")
    with pytest.raises(ValidationError) as caught:
        load_settings()
    assert named(caught.value) == "server.cors_origins"
    monkeypatch.delenv("CLOUDYARD_SERVER__CORS_ORIGINS")
    config(nowhere, "[server\nport = 9")
    with pytest.raises(tomllib.TOMLDecodeError):
        load_settings()


def test_settings_made_in_code_refuse_slips_too() -> None:
    with pytest.raises(ValidationError):
        Settings(sever={"port": 1})  # type: ignore[call-arg]
