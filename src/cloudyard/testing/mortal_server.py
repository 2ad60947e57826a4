"""`cloudyard serve` as a process of its own, for tests that kill it, starve it or stop it."""

import asyncio
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2

from cloudyard.foundation.crash_points import VARIABLE
from cloudyard.testing.server_process import clean_environment

STARTS_WITHIN_SECONDS = 60.0
STOPS_WITHIN_SECONDS = 40.0
ADDRESS = re.compile(rb'"url":"(http://[^"]+)"')

ADMIN = {"email": "admin@example.com", "password": "AdminPass123!"}
USER = {"email": "user@example.com", "username": "user", "password": "UserPass123!"}


class ServerDied(Exception):
    """The server ended when it should have started; the message is its log."""


@dataclass(slots=True)
class MortalServer:
    """A running server."""

    process: asyncio.subprocess.Process
    url: str
    log_path: Path

    @property
    def log(self) -> str:
        """Everything that it wrote so far."""
        return self.log_path.read_text(errors="replace")

    async def kill(self) -> None:
        """End it as a power cut would."""
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()

    async def stop(self) -> int:
        """Ask it to stop, wait until it has drained, and give its exit status."""
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(self.process.wait(), STOPS_WITHIN_SECONDS)

    async def died(self) -> int:
        """Wait until it has ended by itself, and give its exit status."""
        return await asyncio.wait_for(self.process.wait(), STARTS_WITHIN_SECONDS)


@asynccontextmanager
async def mortal_server(
    data_dir: Path, *, crash_at: str | None = None, environment: Mapping[str, str] | None = None
) -> AsyncIterator[MortalServer]:
    """A server on a free port, ready when it is given out and gone afterwards. Raises `ServerDied`."""
    variables = {
        **clean_environment(),
        "CLOUDYARD_ADMIN_EMAIL": ADMIN["email"],
        "CLOUDYARD_ADMIN_PASSWORD": ADMIN["password"],
        **(environment or {}),
    }
    if crash_at is not None:
        variables[VARIABLE] = crash_at
    log_path = data_dir.with_name(f"{data_dir.name}.log")
    command = [sys.executable, "-m", "cloudyard", "serve", "--data-dir", str(data_dir), "--port", "0"]
    with log_path.open("wb") as log:
        process = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log, env=variables)
    try:
        yield MortalServer(process, await _address(process, log_path), log_path)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def books_are_right(data_dir: Path, environment: Mapping[str, str] | None = None) -> bool:
    """Whether `cloudyard ledger verify` finds nothing wrong."""
    command = [sys.executable, "-m", "cloudyard", "ledger", "verify", "--data-dir", str(data_dir)]
    variables = {**clean_environment(), **(environment or {})}
    return subprocess.run(command, env=variables, check=False).returncode == 0  # noqa: S603 - our own words


@asynccontextmanager
async def signed_in(url: str, who: Mapping[str, str] = USER) -> AsyncIterator[httpx2.AsyncClient]:
    """A client that is signed in as the one test user, who is registered if need be, or as the administrator."""
    async with httpx2.AsyncClient(base_url=url, timeout=60) as client:
        if who is USER:
            await client.post("/neurogrid/api/auth/register", json=USER)
        credentials = {"identifier": who["email"], "password": who["password"]}
        login = await client.post("/neurogrid/api/auth/login", json=credentials)
        client.headers["Authorization"] = f"Bearer {login.json()['data']['token']}"
        yield client


async def _address(process: asyncio.subprocess.Process, log_path: Path) -> str:
    async with asyncio.timeout(STARTS_WITHIN_SECONDS):
        while True:
            found = ADDRESS.search(await asyncio.to_thread(log_path.read_bytes))
            if found and await _answers(url := found.group(1).decode()):
                return url
            if process.returncode is not None:
                raise ServerDied(await asyncio.to_thread(log_path.read_text, errors="replace"))
            await asyncio.sleep(0.05)


async def _answers(url: str) -> bool:
    async with httpx2.AsyncClient() as client:
        try:
            return (await client.get(f"{url}/health")).is_success
        except httpx2.TransportError:
            return False
