"""A server that sells through the stand-in of Stripe, and what becomes of the stand-in."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest

from cloudyard.entrypoints.stripe_stand_in import stripe_stand_in
from cloudyard.foundation.ids import SystemIds
from cloudyard.foundation.settings import Profile, Settings
from cloudyard.testing.local_stripe import KEY
from cloudyard.testing.server_process import RunningServer, clean_environment, running_server

SETTINGS = "[inference]\ndefault_models = false\n[limits]\nenabled = false\n"
WITHIN_SECONDS = 60
PERSON = {"email": "ada@example.com", "password": "a good long one", "firstName": "Ada", "lastName": "L"}
PURCHASE = "/aihub/api/credits/purchase"


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    (tmp_path / "cloudyard.toml").write_text(SETTINGS)
    return tmp_path


@pytest.fixture
def server(data_dir: Path) -> Iterator[RunningServer]:
    with running_server(data_dir, "--profile", "development", "--stripe-stand-in") as server:
        yield server


def wait(condition: Callable[[], Any]) -> Any:
    """What the condition gives, as soon as that is something."""
    until = time.monotonic() + WITHIN_SECONDS
    while not (found := condition()):
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.05)
    return found


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def stand_in_of(pid: int) -> psutil.Process:
    (found,) = (p for p in psutil.Process(pid).children() if "cloudyard.testing.local_stripe" in p.cmdline())
    return found


@contextmanager
def at_stripe(server: RunningServer) -> Iterator[httpx2.Client]:
    """A client of the server's stand-in, which listens on loopback alone."""
    connections = stand_in_of(server.pid).net_connections("tcp")
    (listening,) = (connection for connection in connections if connection.status == psutil.CONN_LISTEN)
    assert listening.laddr.ip == "127.0.0.1"
    url = f"http://127.0.0.1:{listening.laddr.port}"
    with httpx2.Client(base_url=url, headers={"Authorization": f"Bearer {KEY}"}) as client:
        yield client


def test_what_stripe_tells_by_its_webhooks_alone_is_in_the_balance(server: RunningServer) -> None:
    with httpx2.Client(base_url=server.url, timeout=30) as client, at_stripe(server) as stripe:
        client.post("/aihub/api/auth/register", json=PERSON).raise_for_status()
        tokens = client.post("/aihub/api/auth/login", json=PERSON).json()["data"]["tokens"]
        client.headers["Authorization"] = f"Bearer {tokens['accessToken']}"

        def balance() -> Any:
            return client.get("/aihub/api/credits/balance").json()["data"]["balance"]

        wait(lambda: balance() == 1000)
        order = {"packageId": "pkg_starter", "paymentMethodId": "pm_card_authenticationRequired"}
        secret = client.post(PURCHASE, json=order).json()["data"]["clientSecret"]
        intent = f"/v1/payment_intents/{secret.split('_secret_')[0]}"
        done = {"client_secret": secret, "success": "true"}
        stripe.post(f"{intent}/_authenticate", data=done).raise_for_status()
        wait(lambda: balance() == 2000)
        charge = stripe.get(intent).json()["latest_charge"]
        stripe.post("/v1/refunds", data={"charge": charge["id"], "amount": "400"}).raise_for_status()
        wait(lambda: balance() == 1600)


def test_it_ends_even_when_the_server_is_killed(data_dir: Path) -> None:
    command = [sys.executable, "-m", "cloudyard", "serve", "--port", "0", "--data-dir", str(data_dir)]
    command += ["--profile", "development", "--stripe-stand-in"]
    with (data_dir / "server.log").open("w") as log:
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=clean_environment())
    assert server.stdout is not None
    wait(lambda: "payments" in str(server.stdout.readline() if server.stdout else ""))
    stand_in = stand_in_of(server.pid)
    os.kill(server.pid, signal.SIGKILL)
    server.wait()
    server.stdout.close()
    wait(lambda: not is_alive(stand_in))


def test_a_key_of_ones_own_wins(tmp_path: Path) -> None:
    settings = Settings(profile=Profile.DEVELOPMENT, data_dir=tmp_path, payments={"stripe_key": "sk_test_mine"})
    with stripe_stand_in(settings, SystemIds()) as stripe:
        assert stripe is None


def test_the_production_profile_refuses_it(data_dir: Path) -> None:
    command = [sys.executable, "-m", "cloudyard", "serve", "--port", "0", "--stripe-stand-in"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=data_dir, env=clean_environment(), timeout=120
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "for the development profile alone" in line
    assert "payments.stripe_key" in line
    assert not (data_dir / "data").exists()


def test_where_it_is_not_installed_the_extra_is_named(data_dir: Path) -> None:
    (data_dir / "without.py").write_text(
        "import sys\nsys.modules['localstripe'] = None\n"
        "sys.argv = ['cloudyard', 'serve', '--profile', 'development', '--stripe-stand-in', '--port', '0']\n"
        "from cloudyard.entrypoints.cli import main\nmain()\n"
    )
    done = subprocess.run(
        [sys.executable, "without.py"],
        capture_output=True,
        text=True,
        check=False,
        cwd=data_dir,
        env=clean_environment(),
        timeout=120,
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "pip install 'cloudyard[demo]'" in line
