"""A whole installation that sells credits and runs a model, people who use it, and both clients."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from client_people import QUICKLY, Connect, Person, new_person
from pydantic import SecretStr
from rough_server import RoughServer, running_rough_server
from smartaihub import Tokens
from twins import TWINS, Client, inside

from cloudyard.domains.identity import Role
from cloudyard.entrypoints.application import build_application
from cloudyard.foundation.settings import Settings
from cloudyard.foundation.settings.payments import PaymentSettings
from cloudyard.testing.installation import Installation, install_models, installation
from cloudyard.testing.local_stripe import KEY, local_stripe


@pytest.fixture(scope="session")
def stripe_url() -> Iterator[str]:
    with local_stripe() as url:
        yield url


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory, stripe_url: str) -> Iterator[Installation]:
    data_dir = tmp_path_factory.mktemp("python-client")
    install_models(data_dir)
    settings = Settings(
        data_dir=data_dir,
        limits={"enabled": False},
        mail={"backend": "file"},
        webhooks={"allow_loopback": True},
        payments=PaymentSettings(
            stripe_key=SecretStr(KEY), stripe_webhook_secret=SecretStr("-"), stripe_url=stripe_url
        ),
    )
    settings.inference.aliases = {"gpt-4": "smollm2-135m"}
    with installation(settings, build_application) as running:
        yield running


@pytest.fixture
def join(cloud: Installation) -> Callable[[], Person]:
    """Registers somebody new."""
    return lambda: new_person(cloud)


@pytest.fixture
def ann(join: Callable[[], Person]) -> Person:
    return join()


@pytest.fixture
def admin(cloud: Installation, join: Callable[[], Person]) -> Person:
    person = join()
    cloud.run(cloud.services.users.set_role(person.id, Role.ADMIN))
    pair = cloud.run(cloud.services.sessions.start(person.id))
    tokens = Tokens(access_token=pair.access_token, refresh_token=pair.refresh_token)
    return Person(person.id, person.email, person.api_key, tokens)


@pytest.fixture(params=TWINS, ids=["sync", "async"])
def twin(request: pytest.FixtureRequest) -> type[Client]:
    """Each client in turn."""
    kind: type[Client] = request.param
    return kind


@pytest.fixture
async def connect(twin: type[Client], cloud: Installation) -> AsyncIterator[Connect]:
    """Makes clients of the installation, which are closed at the end."""
    async with AsyncExitStack() as stack:

        async def new(base_url: str = cloud.url, **options: Any) -> Client:
            client: Client = await stack.enter_async_context(inside(twin(base_url, retries=QUICKLY, **options)))
            return client

        yield new


@pytest.fixture
async def anns(connect: Connect, ann: Person) -> Client:
    """Ann's client, with her API key."""
    return await connect(api_key=ann.api_key)


@pytest.fixture
async def admins(connect: Connect, admin: Person) -> Client:
    """An administrator's client."""
    return await connect(tokens=admin.tokens)


@pytest.fixture
def rough() -> Iterator[RoughServer]:
    with running_rough_server() as server:
        yield server


@pytest.fixture
async def shaky(twin: type[Client], rough: RoughServer) -> AsyncIterator[Client]:
    """A client of a server that behaves badly."""
    async with inside(twin(rough.url, "key", retries=QUICKLY)) as client:
        yield client
