"""Cloudyard itself as a subject: `cloudyard serve` in a process of its own, used through its public APIs.

Everything that depends on Cloudyard's settings, command line or API shapes stands in this file.
"""

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from servers.upstream import MODEL, Upstream
from support.console import BenchError
from support.http import answers, call
from support.load import Target
from support.processes import Running, free_port, running, wait_until_ready

# --- Settings of the measured server -------------------------------------------------------------

BARE_TOML = """
[inference]
default_models = false
"""

# One answer of the upstream has 24 + 16 tokens: at 0.25 dollars a thousand it costs exactly one credit,
# so that the wallet tells how many answers were charged.
GATEWAY_TOML = """
[inference]
default_models = false

[inference.models."{model}"]
provider = "bench"
context_length = 8192

[[inference.models."{model}".deployments]]
name = "nginx"
kind = "openai"
base_url = "{base_url}"
api_key = "unused"
max_concurrency = 256

[billing]
credits_per_usd = 100

[billing.prices]
"model:{model}" = [
    {{ meter = "input_token", usd = "0.25", per = 1000 }},
    {{ meter = "output_token", usd = "0.25", per = 1000 }},
]
"""
CREDITS_PER_ANSWER = 1

LOCAL_MODEL = "bench-local"
LOCAL_SLOTS = 8
LOCAL_CONTEXT = 2048
LOCAL_THREADS = os.cpu_count() or 1
LOCAL_TOML = """
[inference]
default_models = false
slots = {slots}
threads = {threads}
start_at_boot = true

[inference.models."{model}"]
context_length = {context}
max_output_tokens = 1024

[[inference.models."{model}".deployments]]
name = "llama.cpp"
kind = "local"
path = "{path}"

[billing.prices]
"model:{model}" = [
    {{ meter = "input_token", usd = "0.10", per = 1000000 }},
    {{ meter = "output_token", usd = "0.20", per = 1000000 }},
]
"""

# What xllamacpp must be given, driven directly, to be the same engine as the server's worker.
DIRECT_PARALLEL = LOCAL_SLOTS
DIRECT_CONTEXT = LOCAL_SLOTS * LOCAL_CONTEXT
"""llama.cpp divides its context among the parallel sequences."""

# --- API shapes ----------------------------------------------------------------------------------

READY_PATH = "/"
REGISTER_PATH = "/neurogrid/api/auth/register"
LOGIN_PATH = "/neurogrid/api/auth/login"
KEYS_PATH = "/neurogrid/api/users/api-keys"
WALLET_PATH = "/neurogrid/api/wallet"
CHAT_PATH = "/v1/chat/completions"
PROFILE_PATH = "/aihub/api/users/me"
LIVE_PATH = "/aihub/ws"
HISTORY_PATH = "/aihub/api/credits/history"
TRANSACTIONS_PATH = "/neurogrid/api/wallet/transactions"
WEBHOOKS_PATH = "/aihub/api/admin/webhooks"
ADMIN_LOGIN_PATH = "/aihub/api/auth/login"
ADMIN_EMAIL = "admin@example.com"
CREDITS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Cloudyard:
    """A running server, and a user who may spend."""

    server: Running
    data: Path
    base_url: str
    token: str
    key: str

    @property
    def target(self) -> Target:
        """Where and how a client of this user asks for completions."""
        return Target("cloudyard", self.base_url + CHAT_PATH, {"Authorization": f"Bearer {self.key}"})

    def balance(self) -> float:
        """Credits in the user's wallet."""
        answer = call("GET", self.base_url + WALLET_PATH, headers={"Authorization": f"Bearer {self.token}"})
        return float(answer["data"]["credits"])

    def verify_ledger(self) -> None:
        """Have Cloudyard recompute its whole ledger. Raises BenchError on any difference."""
        _cloudyard("ledger", "verify", "--data-dir", str(self.data))


def gateway_settings(upstream: Upstream) -> str:
    """A catalogue with one model, served by the upstream."""
    return GATEWAY_TOML.format(model=MODEL, base_url=upstream.base_url)


def local_settings(model: Path) -> str:
    """A catalogue with one local model."""
    return LOCAL_TOML.format(
        model=LOCAL_MODEL, path=model, slots=LOCAL_SLOTS, context=LOCAL_CONTEXT, threads=LOCAL_THREADS
    )


@contextmanager
def cloudyard_server(
    directory: Path, settings: str, admin_password: str | None = None
) -> Iterator[tuple[Running, Path, str]]:
    """Run the server with these settings; gives the process, its data directory and its base URL."""
    home = directory / "cloudyard"
    data = home / "data"
    data.mkdir(parents=True)
    (data / "cloudyard.toml").write_text(settings)
    port = free_port()
    env = {
        "CLOUDYARD_ADMIN_EMAIL": ADMIN_EMAIL,
        "CLOUDYARD_ADMIN_PASSWORD": admin_password or secrets.token_urlsafe(24),
    }
    command: list[str | Path] = [_command(), "serve", "--port", str(port), "--data-dir", data]
    base_url = f"http://127.0.0.1:{port}"
    with running(command, title="Cloudyard", log=home / "log", env=env, cwd=home) as server:
        wait_until_ready(server, lambda: answers(base_url + READY_PATH), 60)
        yield server, data, base_url


@contextmanager
def cloudyard(directory: Path, settings: str) -> Iterator[Cloudyard]:
    """Run the server and give it a user with an API key and credits."""
    with cloudyard_server(directory, settings) as (server, data, base_url):
        token, key = _make_user(base_url, data)
        yield Cloudyard(server, data, base_url, token, key)


@contextmanager
def administered(directory: Path, settings: str) -> Iterator[tuple[Path, str, Mapping[str, str]]]:
    """Run the server; gives its data directory, its base URL and the headers of its administrator's requests."""
    password = secrets.token_urlsafe(24)
    with cloudyard_server(directory, settings, password) as (_, data, base_url):
        login = call("POST", base_url + ADMIN_LOGIN_PATH, {"email": ADMIN_EMAIL, "password": password})
        yield data, base_url, {"Authorization": f"Bearer {login['data']['tokens']['accessToken']}"}


def _make_user(base_url: str, data: Path) -> tuple[str, str]:
    email, password = "bench@example.com", f"Aa1!{secrets.token_urlsafe(16)}"
    registration = {"email": email, "username": "bench", "password": password, "full_name": "Bench"}
    call("POST", base_url + REGISTER_PATH, registration)
    login = call("POST", base_url + LOGIN_PATH, {"identifier": email, "password": password})
    token = str(login["data"]["token"])
    made = call("POST", base_url + KEYS_PATH, {"name": "bench"}, {"Authorization": f"Bearer {token}"})
    _cloudyard("admin", "grant", email, str(CREDITS), "--reason", "bench", "--data-dir", str(data))
    return token, str(made["data"]["key"])


def _command() -> Path:
    command = Path(sys.executable).with_name("cloudyard")
    if not command.exists():
        raise BenchError(f"{command} does not exist: install the project first (script/bench does it).")
    return command


def _cloudyard(*arguments: str) -> None:
    done = subprocess.run([str(_command()), *arguments], capture_output=True, text=True)
    if done.returncode != 0:
        raise BenchError(
            f"`cloudyard {' '.join(arguments)}` ended with status {done.returncode}:\n{done.stdout}{done.stderr}"
        )
