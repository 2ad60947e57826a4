"""NeuroGrid as it runs: an installation on a real socket, and people who use it."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from pydantic import SecretStr

from cloudyard.foundation.settings import Settings
from cloudyard.surfaces import neurogrid
from cloudyard.testing.guarded import guarded
from cloudyard.testing.installation import Installation, installation
from cloudyard.web.mount import SurfaceRouter
from cloudyard.web.registration import register
from cloudyard.wiring import Services

PASSWORD = "SecurePass123!"
ADMIN_EMAIL = "root@example.com"


@dataclass(frozen=True)
class Person:
    """Somebody who is logged in."""

    id: str
    email: str
    username: str
    access_token: str
    refresh_token: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.access_token}"}

    @property
    def cookie(self) -> dict[str, str]:
        return {"Cookie": f"session={self.access_token}"}


def build(services: Services) -> SurfaceRouter:
    app = neurogrid.create_app(
        neurogrid.NeurogridServices(
            users=services.users,
            sessions=services.sessions,
            api_keys=services.api_keys,
            billing=services.billing,
            ledger=services.ledger,
            credit_rate=services.credit_rate,
            idempotency=services.idempotency,
            clock=services.clock,
        )
    )
    return guarded(services, app, neurogrid.POLICY, neurogrid.NeurogridErrors(services.clock))


def settings_for(data_dir: Path, *, limits: bool = True) -> Settings:
    return Settings(
        data_dir=data_dir,
        admin_email=ADMIN_EMAIL,
        admin_password=SecretStr(PASSWORD),
        server={"trusted_proxies": ["127.0.0.1"], "max_body_bytes": 50_000, "cors_origins": ["https://app.example"]},
        limits={"enabled": limits},
        mail={"backend": "file"},
    )


@pytest.fixture(scope="session")
def neurogrid_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with installation(settings_for(tmp_path_factory.mktemp("neurogrid")), build) as running:
        yield running


_addresses = itertools.count(1)


def stranger(server: Installation) -> httpx2.Client:
    """A client at an address of its own, so that tests do not share its limits."""
    number = next(_addresses)
    headers = {"X-Forwarded-For": f"203.0.{number // 250}.{number % 250 + 1}"}
    return httpx2.Client(base_url=server.url + "/neurogrid", headers=headers, timeout=30)


@pytest.fixture
def client(neurogrid_server: Installation) -> Iterator[httpx2.Client]:
    with stranger(neurogrid_server) as client:
        yield client


_people = itertools.count(1)


def new_person(server: Installation) -> Person:
    """Somebody who registered and opened a session, without the time that a login takes."""
    services = server.services

    async def open_account() -> Person:
        name = f"person{next(_people)}"
        email = f"{name}@example.com"
        user = await register(
            services.users, services.billing, email=email, password=PASSWORD, username=name, name="Dev Name"
        )
        pair = await services.sessions.start(user.id)
        return Person(user.id, email, name, pair.access_token, pair.refresh_token)

    person: Person = server.run(open_account())
    return person


@pytest.fixture
def join(neurogrid_server: Installation) -> Callable[[], Person]:
    """Registers somebody new."""
    return lambda: new_person(neurogrid_server)


@pytest.fixture
def ann(neurogrid_server: Installation) -> Person:
    return new_person(neurogrid_server)


@pytest.fixture
def onlooker(neurogrid_server: Installation) -> Person:
    """Somebody whom the test does not change."""
    return new_person(neurogrid_server)


def error(answer: httpx2.Response) -> dict[str, Any]:
    """The body of a failure, in the shape of the document."""
    found: dict[str, Any] = answer.json()
    assert set(found) == {"error", "message", "details", "timestamp"}
    assert isinstance(found["details"], dict)
    assert found["message"]
    return found
