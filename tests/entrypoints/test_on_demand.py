"""What a server does not load before somebody asks for it: it would take memory and a slower start from everybody."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client

from cloudyard.testing.mortal_server import MortalServer, mortal_server, signed_in

BUILT = """
import asyncio, sys
from pathlib import Path
import cloudyard.entrypoints.server
from cloudyard.entrypoints.application import build_application
from cloudyard.foundation.settings import Settings
from cloudyard.wiring import open_services

async def build():
    async with open_services(Settings(data_dir=Path(sys.argv[1]))) as services:
        build_application(services)

asyncio.run(build())
print(*{name.partition(".")[0] for name in sys.modules})
"""
PARALLEL = 8


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[MortalServer]:
    (tmp_path / "cloudyard.toml").write_text("[inference]\ndefault_models = false\n")
    async with mortal_server(tmp_path) as server:
        yield server


@pytest.fixture
async def user(server: MortalServer) -> AsyncIterator[httpx2.AsyncClient]:
    async with signed_in(server.url) as user:
        yield user


async def tools(user: httpx2.AsyncClient) -> set[str]:
    async with Client(streamable_http_client(f"{user.base_url}/mcp", http_client=user)) as client:
        return {tool.name for tool in (await client.list_tools()).tools}


def test_a_server_is_built_without_migrations_and_mcp(tmp_path: Path) -> None:
    told = subprocess.run([sys.executable, "-c", BUILT, tmp_path], capture_output=True, text=True, check=True)
    loaded = set(told.stdout.split())
    assert {"cloudyard", "sqlalchemy"} <= loaded
    assert not loaded & {"mcp", "mcp_types", "alembic"}


async def test_the_first_callers_of_mcp_are_all_served(user: httpx2.AsyncClient) -> None:
    async with asyncio.timeout(60):
        found = await asyncio.gather(*(tools(user) for _ in range(PARALLEL)))
    assert all("wallet" in names for names in found)


@pytest.mark.parametrize("seconds", [0, 0.1, 0.4])
async def test_a_server_told_to_stop_while_it_loads_mcp_stops(
    server: MortalServer, user: httpx2.AsyncClient, seconds: float
) -> None:
    async with asyncio.timeout(60):
        first = asyncio.create_task(tools(user))
        await asyncio.sleep(seconds)
        server.process.send_signal(signal.SIGTERM)
        assert await server.stop() == 0
        await asyncio.wait([first])
    _ = first.cancelled() or first.exception()  # answered or not: what counts is that nothing held the stop up
