"""The command line as its users call it: in a process of its own."""

import asyncio
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import text

from cloudyard.foundation.settings import Settings
from cloudyard.wiring import open_services

Run = Callable[..., subprocess.CompletedProcess[str]]


def runner(folder: Path) -> Run:
    """Runs `cloudyard` in a folder, with nothing of this machine's settings."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CLOUDYARD_")}

    def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "cloudyard", *words]
        return subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=folder, env={**clean, **environment}
        )

    return run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return runner(tmp_path)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a database and an administrator, to be copied."""
    folder = tmp_path_factory.mktemp("prepared")
    run = runner(folder)
    assert "was brought up to date" in run("database", "migrate").stdout
    assert "is up to date" in run("database", "migrate").stdout
    created = run("admin", "create", "root@localhost", CLOUDYARD_ADMIN_PASSWORD="a good long one")
    assert created.returncode == 0, created.stderr
    assert "a good long one" not in created.stdout + created.stderr
    return folder


@pytest.fixture
def migrated(prepared: Path, tmp_path: Path) -> Run:
    """Runs `cloudyard` beside a database with an administrator."""
    shutil.copytree(prepared, tmp_path, dirs_exist_ok=True)
    return runner(tmp_path)


def one_line(text: str) -> str:
    """The only line of a text."""
    lines = text.splitlines()
    assert len(lines) == 1, text
    return lines[0]


def test_help_lists_every_command_and_loads_none_of_them() -> None:
    script = "import sys; from cloudyard.entrypoints.cli import app; app(['--help'], standalone_mode=False); "
    heavy = "print({'sqlalchemy', 'fastapi', 'aiohttp', 'alembic'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script + heavy], capture_output=True, text=True, check=True)
    for name in ("serve", "tour", "models", "admin", "ledger", "keys", "database", "settings", "openapi", "version"):
        assert f" {name} " in done.stdout
    assert done.stdout.splitlines()[-1] == "set()"


def test_every_command_has_help(run: Run) -> None:
    for words in (["serve"], ["tour"], ["models", "add"]):
        done = run(*words, "--help")
        assert done.returncode == 0, done.stderr
        assert "Usage" in done.stdout


def test_version(run: Run) -> None:
    assert run("version").stdout.startswith("cloudyard 0.")


def test_a_command_on_a_missing_database_fails_in_one_line_and_makes_none(run: Run, tmp_path: Path) -> None:
    done = run("ledger", "verify", "--data-dir", "elsewhere")
    assert done.returncode == 1
    assert "does not exist" in one_line(done.stderr)
    assert "cloudyard database migrate" in done.stderr
    assert not (tmp_path / "elsewhere").exists()


def test_a_command_on_an_empty_database_says_what_to_do(run: Run, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    sqlite3.connect(tmp_path / "data" / "cloudyard.db").close()
    done = run("ledger", "verify")
    assert done.returncode == 1
    assert "still empty" in one_line(done.stderr)


@pytest.mark.parametrize("data_dir", ["file", "file/below"])
@pytest.mark.parametrize("words", [("serve", "--port", "0"), ("database", "migrate")])
def test_a_data_directory_that_cannot_be_made_is_named_in_one_line(
    run: Run, tmp_path: Path, words: tuple[str, ...], data_dir: str
) -> None:
    (tmp_path / "file").touch()
    done = run(*words, "--data-dir", data_dir)
    assert done.returncode == 1
    assert f"cloudyard: {tmp_path / data_dir} cannot be used (" in one_line(done.stderr)
    assert "--data-dir" in done.stderr


@pytest.mark.parametrize("words", [("serve", "--port", "0"), ("ledger", "verify"), ("admin", "create", "a@localhost")])
def test_an_encryption_key_that_cannot_be_read_is_named_in_one_line(
    migrated: Run, tmp_path: Path, words: tuple[str, ...]
) -> None:
    key = tmp_path / "data" / "encryption.key"
    key.unlink()
    key.mkdir()
    done = migrated(*words)
    assert done.returncode == 1
    assert f"cloudyard: {key} cannot be used (Is a directory)" in one_line(done.stderr)


@pytest.mark.parametrize("words", [("serve", "--port", "0"), ("database", "migrate"), ("ledger", "verify")])
def test_a_database_of_another_kind_is_refused_in_one_line(run: Run, words: tuple[str, ...]) -> None:
    done = run(*words, CLOUDYARD_DATABASE__URL="mysql://root@127.0.0.1/x")
    assert done.returncode == 1
    assert "cloudyard: A mysql database cannot be used. Set database.url to" in one_line(done.stderr)


def test_an_administrator_is_created_once_and_the_password_shown_once(migrated: Run) -> None:
    first = migrated("admin", "create", "second@localhost")
    assert first.returncode == 0
    assert "shown this once" in first.stdout
    again = migrated("admin", "create", "second@localhost")
    assert again.returncode == 0
    assert "exists already" in one_line(again.stdout)


def test_a_grant_reaches_the_wallet_and_the_books_stay_right(migrated: Run) -> None:
    granted = migrated("admin", "grant", "ROOT@localhost", "12.5", "--reason", "a test")
    assert "has 12.5 credits" in granted.stdout
    taken = migrated("admin", "grant", "root@localhost", "-2", "--reason", "a test")
    assert "has 10.5 credits" in taken.stdout
    verified = migrated("ledger", "verify")
    assert verified.returncode == 0
    assert "The books are right" in verified.stdout


def test_verification_compares_payments_with_the_ledger(migrated: Run, tmp_path: Path) -> None:
    with closing(sqlite3.connect(next(tmp_path.rglob("cloudyard.db")))) as connection, connection:
        connection.execute(
            "INSERT INTO payments "
            "(id, user_id, fingerprint, payment_method, value_nanos, cents, state, closed, created_at, due_at) "
            "VALUES ('paid', 'somebody', '', 'pm_card_visa', 10, 1, 'completed', 1, '2026-01-01', '2026-01-01')"
        )
    verified = migrated("ledger", "verify")
    assert verified.returncode == 1
    assert "payment:paid: the ledger does not say the same of the purchase" in verified.stdout


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("nobody@localhost", "1"), "no user 'nobody@localhost'"),
        (("root@localhost", "many"), "'many' is no number of credits"),
        (("root@localhost", "nan"), "'nan' is no number of credits"),
        (("root@localhost", "0.000000000001"), "too fine"),
        (("root@localhost", "0"), "must not be zero"),
        (("root@localhost", "-1"), "Not enough credits"),
    ],
)
def test_a_grant_that_cannot_be_is_refused_in_one_line(migrated: Run, words: tuple[str, str], complaint: str) -> None:
    done = migrated("admin", "grant", *words, "--reason", "a test")
    assert done.returncode == 1
    assert complaint in one_line(done.stderr)


def test_a_reset_link_is_shown_where_no_mail_is_sent(migrated: Run) -> None:
    made = migrated("admin", "reset-link", "root@localhost")
    assert made.returncode == 0
    assert re.search(r"http://\S+/reset-password\?token=\S{20,}\nIt works once, until \d{4}-", made.stdout)
    assert "no user 'nobody@localhost'" in one_line(migrated("admin", "reset-link", "nobody@localhost").stderr)


def test_verify_finds_a_balance_that_was_changed(migrated: Run, tmp_path: Path) -> None:
    migrated("admin", "grant", "root@localhost", "5", "--reason", "a test")
    with sqlite3.connect(tmp_path / "data" / "cloudyard.db") as connection:
        connection.execute("UPDATE ledger_accounts SET balance_nanos = balance_nanos + 1 WHERE kind = 'wallet'")
    done = migrated("ledger", "verify")
    assert done.returncode == 1
    assert "its balance is not the sum of its postings" in done.stdout
    assert "The books are wrong" in done.stdout


def test_the_books_of_a_postgresql_database(run: Run, postgres_database_url: str) -> None:
    place = {"CLOUDYARD_DATABASE__URL": postgres_database_url}
    assert run("database", "migrate", **place).returncode == 0
    assert run("admin", "create", "root@localhost", **place).returncode == 0
    assert run("admin", "grant", "root@localhost", "3", "--reason", "a test", **place).returncode == 0
    done = run("ledger", "verify", **place)
    assert done.returncode == 0, done.stdout + done.stderr


def test_models_are_added_listed_and_removed(migrated: Run) -> None:
    prices = ("--input-usd", "0.5", "--output-usd", "1.5")
    added = migrated("models", "add", "mine", "--base-url", "http://127.0.0.1:9/v1", *prices, "--api-key", "secret-1")
    assert added.returncode == 0, added.stderr
    row = next(line for line in migrated("models", "list").stdout.splitlines() if line.startswith("mine"))
    assert row.split() == ["mine", "chat", "2048", "0.5", "1.5", "http://127.0.0.1:9/v1"]
    assert migrated("models", "remove", "mine").returncode == 0
    assert "mine" not in migrated("models", "list").stdout


def test_a_key_of_an_added_model_is_stored_encrypted(migrated: Run, tmp_path: Path) -> None:
    words = ("models", "add", "mine", "--base-url", "http://127.0.0.1:9/v1", "--input-usd", "1")
    assert migrated(*words, CLOUDYARD_UPSTREAM_API_KEY="secret-from-environment").returncode == 0
    assert b"secret-from-environment" not in (tmp_path / "data" / "cloudyard.db").read_bytes()


@pytest.fixture
def keyless(migrated: Run, tmp_path: Path) -> Run:
    """Runs `cloudyard` where keys of every sort and a webhook are stored, and the key that encrypted them is lost."""
    added = migrated(
        "models", "add", "mine", "--base-url", "http://127.0.0.1:9/v1", "--input-usd", "1", "--api-key", "x"
    )
    assert added.returncode == 0, added.stderr
    asyncio.run(log_in(tmp_path / "data"))
    asyncio.run(keep_webhook_and_push_key(tmp_path / "data"))
    (tmp_path / "data" / "encryption.key").unlink()
    return migrated


async def log_in(data_dir: Path) -> None:
    async with open_services(Settings(data_dir=data_dir)) as services:
        await services.sessions.login("root@localhost", "a good long one")


async def keep_webhook_and_push_key(data_dir: Path) -> None:
    async with open_services(Settings(data_dir=data_dir)) as services:
        await services.webhooks.create("admin", url="https://example.com/hook", events=["user.created"])
        await services.push_subscriptions.public_key()


async def ended_sessions_and_acts(data_dir: Path) -> tuple[int, list[str]]:
    async with open_services(Settings(data_dir=data_dir)) as services, services.database.reading() as tx:
        ended = await tx.scalar(text("SELECT count(*) FROM sessions WHERE ended_at IS NOT NULL"))
        entries = await services.audit.list(limit=4)
        return int(ended), sorted(entry.action for entry in entries)


@pytest.mark.parametrize("words", [("serve", "--port", "0"), ("models", "list")])
def test_without_the_encryption_key_the_way_out_is_named(keyless: Run, words: tuple[str, ...]) -> None:
    done = keyless(*words)
    assert done.returncode == 1
    assert "cloudyard: A stored secret cannot be decrypted" in done.stderr.splitlines()[-1]
    assert "security.encryption_key" in done.stderr
    assert "cloudyard keys discard-unreadable" in done.stderr


def test_the_server_does_not_start_without_its_signing_keys(keyless: Run, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "data" / "cloudyard.db") as connection:
        connection.execute("DELETE FROM catalogue_models")
    done = keyless("serve", "--port", "0")
    assert done.returncode == 1
    assert "cloudyard keys discard-unreadable" in done.stderr.splitlines()[-1]


def test_what_cannot_be_decrypted_is_shown_and_kept_until_somebody_agrees(keyless: Run, tmp_path: Path) -> None:
    asked = keyless("keys", "discard-unreadable")
    assert asked.returncode == 1
    assert re.search(r"signing key \S+: every session ends", asked.stdout)
    assert "key of the model mine, deployment upstream: enter it again" in asked.stdout
    assert re.search(r"secret of the webhook \S+ to https://example.com/hook: it is disabled", asked.stdout)
    assert "key of web push: every browser has to subscribe" in asked.stdout
    assert "discard-unreadable" in keyless("models", "list").stderr, "nothing was discarded"

    done = keyless("keys", "discard-unreadable", "--yes")
    assert done.returncode == 0, done.stderr
    assert "Discarded: 1 signing keys, 1 upstream keys, 1 webhook secrets, 1 push keys." in done.stdout
    acts = ["push_key.discarded", "signing_key.discarded", "upstream_key.discarded", "webhook.disabled"]
    assert asyncio.run(ended_sessions_and_acts(tmp_path / "data")) == (1, acts)
    assert "mine" in keyless("models", "list").stdout, "the model is still there"
    asyncio.run(log_in(tmp_path / "data"))
    assert "Nothing was discarded" in one_line(keyless("keys", "discard-unreadable").stdout)


def test_a_key_that_turns_up_again_saves_everything(migrated: Run, tmp_path: Path) -> None:
    asyncio.run(log_in(tmp_path / "data"))
    old = (tmp_path / "data" / "encryption.key").read_text()
    new = Fernet.generate_key().decode()
    lost = {"CLOUDYARD_SECURITY__ENCRYPTION_KEY": new}
    found = {"CLOUDYARD_SECURITY__ENCRYPTION_KEY": f"{new},{old}"}
    assert "security.encryption_key" in migrated("keys", "discard-unreadable", **lost).stdout
    assert "Nothing was discarded" in one_line(migrated("keys", "discard-unreadable", "--yes", **found).stdout)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--input-usd", "1"), "either --gguf FILE or --base-url URL"),
        (("--input-usd", "1", "--gguf", "missing.gguf"), "There is no file missing.gguf"),
        (("--input-usd", "cheap", "--base-url", "http://127.0.0.1:9/v1"), "'cheap' is no price"),
        (("--input-usd", "-1", "--base-url", "http://127.0.0.1:9/v1"), "'-1' is no price"),
    ],
)
def test_a_model_that_cannot_be_is_refused_in_one_line(run: Run, words: tuple[str, ...], complaint: str) -> None:
    done = run("models", "add", "mine", *words)
    assert done.returncode == 1
    assert complaint in one_line(done.stderr)


@pytest.mark.parametrize(
    ("environment", "toml", "complaint"),
    [
        ({"CLOUDYARD_SERVER__PORT": "many"}, "", "server.port"),
        ({}, "[server]\ntrusted_proxies = ['foo']", "server.trusted_proxies"),
        ({}, "[server]\npublic_url = 'foo'", "server.public_url"),
        ({}, "colour = 1", "colour"),
        ({}, "port = ", "cloudyard.toml cannot be read"),
        ({}, "# Müller", "Save it as UTF-8"),
        ({"CLOUDYARD_SERVER__HOSTS": "{"}, "", 'field "server"'),
    ],
)
def test_a_bad_setting_is_named_in_one_line(
    run: Run, tmp_path: Path, environment: dict[str, str], toml: str, complaint: str
) -> None:
    (tmp_path / "cloudyard.toml").write_text(toml, encoding="latin-1")
    done = run("ledger", "verify", **environment)
    assert done.returncode == 1
    assert complaint in one_line(done.stderr)


def test_the_tour_without_a_server_fails_in_one_line(run: Run) -> None:
    done = run("tour", "--url", "http://127.0.0.1:9")
    assert done.returncode == 1
    assert "No server answers at http://127.0.0.1:9" in one_line(done.stderr)
