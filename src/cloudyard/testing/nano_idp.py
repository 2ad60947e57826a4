"""NanoIDP, an OpenID Connect provider that others wrote, in a process of its own: what it and we agree on is no error
that both sides of one author's code share. Needs the development dependency nanoidp.
"""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from cloudyard.foundation.settings.sign_in import SignInProviderSettings

READY_SECONDS = 60.0
CLIENT_ID = "cloudyard"
CLIENT_SECRET = "a-secret-of-the-client"  # noqa: S105 - of a provider that lives as long as a test


@dataclass(frozen=True, slots=True)
class NanoIdp:
    """Where it is to be, before it runs: it wants to know its clients first, and they where it is."""

    port: int

    @property
    def issuer(self) -> str:
        """Its issuer."""
        return f"http://127.0.0.1:{self.port}"

    def settings(self) -> SignInProviderSettings:
        """How an installation names it."""
        return SignInProviderSettings.model_validate(
            {"issuer": self.issuer, "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "title": "Nano"}
        )

    @contextmanager
    def running(self, folder: Path, callbacks: list[str], people: dict[str, Any]) -> Iterator[None]:
        """Run it under the rules of OAuth 2.1, with these users (the form of its `users.yaml`)."""
        _configure(folder, self, callbacks, people)
        command = [sys.executable, "-m", "nanoidp", "--config", str(folder)]
        with (folder / "log").open("wb") as log:  # it writes its keys where it is started
            process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=subprocess.STDOUT)  # noqa: S603
        try:
            _wait(process, self.port, folder / "log")
            yield
        finally:
            process.terminate()
            process.wait()


def nano_idp() -> NanoIdp:
    """One that will be on a free port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return NanoIdp(free.getsockname()[1])


def _configure(folder: Path, idp: NanoIdp, callbacks: list[str], people: dict[str, Any]) -> None:
    client = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "redirect_uris": callbacks}
    settings = {
        "config_version": 1,
        "security_profile": "oauth21",
        "server": {"host": "127.0.0.1", "port": idp.port},
        "oauth": {"issuer": idp.issuer, "clients": [client]},
    }
    folder.mkdir(parents=True)
    (folder / "settings.yaml").write_text(yaml.safe_dump(settings))
    (folder / "users.yaml").write_text(yaml.safe_dump({"config_version": 1, "users": people}))


def _wait(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    until = time.monotonic() + READY_SECONDS
    while time.monotonic() < until and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise TimeoutError(f"NanoIDP did not start: {log.read_text(errors='replace')[-2000:]}")
