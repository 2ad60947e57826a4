"""A real server with the real models, a user with credit, and the official clients."""

import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx2
import pytest
from openai import AsyncOpenAI, OpenAI
from openai_account import Account

from cloudyard.testing.server_process import RunningServer, running_server

PASSWORD = "Correct horse 7!"


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running_server(tmp_path_factory.mktemp("openai"), "--profile", "development") as server:
        yield server


@pytest.fixture(scope="session")
def account(server: RunningServer) -> Iterator[Account]:
    user = {"email": "sdk@example.com", "username": "sdkuser", "password": PASSWORD}
    with httpx2.Client(base_url=server.url, timeout=60) as session:
        assert session.post("/neurogrid/api/auth/register", json=user).status_code == 201
        login = session.post("/neurogrid/api/auth/login", json={"identifier": user["email"], "password": PASSWORD})
        session.headers["Authorization"] = f"Bearer {login.json()['data']['token']}"
        account = Account(f"{server.url}/v1", session)
        while not account.wallet()["balance"]:  # the welcome credits come by an event
            time.sleep(0.1)
        yield account


@pytest.fixture(scope="session")
def key(account: Account) -> str:
    return account.key()


@pytest.fixture
def client(account: Account, key: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=account.base_url, api_key=key, max_retries=0) as client:
        yield client


@pytest.fixture
async def async_client(account: Account, key: str) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=account.base_url, api_key=key, max_retries=0) as client:
        yield client


@pytest.fixture
def client_with(account: Account) -> Iterator[Callable[..., OpenAI]]:
    """Clients whose keys have limits."""
    clients: list[OpenAI] = []

    def make(**limits: Any) -> OpenAI:
        clients.append(OpenAI(base_url=account.base_url, api_key=account.key(**limits), max_retries=0))
        return clients[-1]

    yield make
    for client in clients:
        client.close()
