"""Smart AI Hub as it runs: an installation on a real socket, and people who use it."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from pydantic import SecretStr

from cloudyard.domains.identity import Role
from cloudyard.foundation.settings import Settings
from cloudyard.foundation.settings.payments import PaymentSettings
from cloudyard.surfaces import aihub
from cloudyard.testing.guarded import guarded
from cloudyard.testing.installation import Installation, installation
from cloudyard.testing.local_stripe import KEY
from cloudyard.web.mount import SurfaceRouter
from cloudyard.web.registration import register
from cloudyard.wiring import Services

PASSWORD = "securePassword123"
ADMIN_EMAIL = "root@example.com"
STRIPE_SECRET = "whsec_test"


@dataclass(frozen=True)
class Person:
    """Somebody who is logged in."""

    id: str
    email: str
    access_token: str
    refresh_token: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.access_token}"}


def build(services: Services) -> SurfaceRouter:
    app = aihub.create_app(
        aihub.AihubServices(
            users=services.users,
            sessions=services.sessions,
            recovery=services.recovery,
            federation=services.federation,
            public_url=services.settings.server.public_url,
            billing=services.billing,
            prices=services.prices,
            catalogue=services.catalogue,
            generation=services.generation,
            ledger=services.ledger,
            payments=services.payments,
            refunds=services.refunds,
            delegations=services.delegations,
            notifications=services.notifications,
            push_subscriptions=services.push_subscriptions,
            live=services.live,
            webhooks=services.webhooks,
            credit_rate=services.credit_rate,
            idempotency=services.idempotency,
            limits=services.limits if services.settings.limits.enabled else None,
            metrics=services.metrics,
            administration=services.administration,
            traffic=services.traffic,
            clock=services.clock,
        )
    )
    return guarded(services, app, aihub.POLICY, aihub.AihubErrors(services.clock))


def settings_for(data_dir: Path, *, limits: bool = True) -> Settings:
    return Settings(
        data_dir=data_dir,
        admin_email=ADMIN_EMAIL,
        admin_password=SecretStr(PASSWORD),
        server={"trusted_proxies": ["127.0.0.1"], "max_body_bytes": 50_000, "cors_origins": ["https://app.example"]},
        limits={"enabled": limits},
        mail={"backend": "file"},
        webhooks={"allow_loopback": True},
        push={"allow_loopback": True},
    )


def selling(settings: Settings, stripe_url: str) -> Settings:
    """The same installation, selling credits through a Stripe at `stripe_url`."""
    payments = PaymentSettings(
        stripe_key=SecretStr(KEY), stripe_webhook_secret=SecretStr(STRIPE_SECRET), stripe_url=stripe_url
    )
    return settings.model_copy(update={"payments": payments})


@pytest.fixture(scope="session")
def aihub_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with installation(settings_for(tmp_path_factory.mktemp("aihub")), build) as running:
        yield running


_addresses = itertools.count(1)


def stranger(server: Installation) -> httpx2.Client:
    """A client at an address of its own, so that tests do not share its limits."""
    number = next(_addresses)
    headers = {"X-Forwarded-For": f"203.0.{number // 250}.{number % 250 + 1}"}
    return httpx2.Client(base_url=server.url + "/aihub", headers=headers, timeout=30)


@pytest.fixture
def client(aihub_server: Installation) -> Iterator[httpx2.Client]:
    with stranger(aihub_server) as client:
        yield client


_people = itertools.count(1)


def new_person(server: Installation) -> Person:
    """Somebody who registered and opened a session, without the time that a login takes."""
    services = server.services

    async def open_account() -> Person:
        email = f"person{next(_people)}@example.com"
        user = await register(
            services.users, services.billing, email=email, password=PASSWORD, first_name="John", last_name="Doe"
        )
        pair = await services.sessions.start(user.id)
        return Person(user.id, email, pair.access_token, pair.refresh_token)

    person: Person = server.run(open_account())
    return person


@pytest.fixture
def join(aihub_server: Installation) -> Callable[[], Person]:
    """Registers somebody new."""
    return lambda: new_person(aihub_server)


@pytest.fixture
def ann(aihub_server: Installation) -> Person:
    return new_person(aihub_server)


@pytest.fixture
def onlooker(aihub_server: Installation) -> Person:
    """Somebody whom the test does not change."""
    return new_person(aihub_server)


@pytest.fixture
def admin(aihub_server: Installation) -> Iterator[Person]:
    """An administrator for one test, so that tests do not share the limits of one."""
    users = aihub_server.services.users
    person = new_person(aihub_server)
    aihub_server.run(users.set_role(person.id, Role.ADMIN))
    yield person
    aihub_server.run(users.set_role(person.id, Role.USER))


@pytest.fixture(scope="session")
def root(aihub_server: Installation) -> Person:
    """The administrator of the installation, logged in as people do; no other, unless the test has an `admin`."""
    with stranger(aihub_server) as client:
        answer = client.post("/api/auth/login", json={"email": ADMIN_EMAIL, "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    data: dict[str, Any] = answer.json()["data"]
    assert data["user"]["role"] == "admin"
    return Person(data["user"]["id"], ADMIN_EMAIL, data["tokens"]["accessToken"], data["tokens"]["refreshToken"])
