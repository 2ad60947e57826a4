"""The surface as it runs: a whole installation with a real model, on a real socket."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from cloudyard.entrypoints.application import build_application
from cloudyard.foundation.settings import Profile, Settings
from cloudyard.testing.installation import Installation, install_models, installation

PASSWORD = "Correct horse 7!"

Account = dict[str, Any]


@pytest.fixture(scope="session")
def pynode_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    data_dir: Path = tmp_path_factory.mktemp("pynode")
    install_models(data_dir)
    settings = Settings(
        profile=Profile.DEVELOPMENT,
        data_dir=data_dir,
        server={"trusted_proxies": ["127.0.0.1"], "max_body_bytes": 100_000},
        files={"max_file_bytes": 200_000},
    )
    with installation(settings, build_application) as running:
        yield running


@pytest.fixture
def base(pynode_server: Installation) -> str:
    return pynode_server.url + "/pynode"


_addresses = itertools.count(1)


@pytest.fixture
def client(base: str) -> Iterator[httpx2.Client]:
    """A stranger, at an address of its own, so that tests do not share its limit."""
    number = next(_addresses)
    headers = {"X-Forwarded-For": f"203.0.{number // 250}.{number % 250 + 1}"}
    with httpx2.Client(base_url=base, headers=headers, timeout=60) as client:
        yield client


_people = itertools.count(1)


@pytest.fixture
def join(client: httpx2.Client) -> Callable[[], Account]:
    """Registers somebody new."""

    def register() -> Account:
        body = {"email": f"person{next(_people)}@example.com", "password": PASSWORD, "name": "John Doe"}
        answer = client.post("/api/auth/register", json=body)
        assert answer.status_code == 200, answer.text
        account: Account = answer.json()
        return {**account, "auth": {"Authorization": f"Bearer {account['access_token']}"}}

    return register


@pytest.fixture
def ann(join: Callable[[], Account]) -> Account:
    return join()
