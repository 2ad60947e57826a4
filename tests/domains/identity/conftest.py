"""Identity over each database, with a registered user to begin with."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from cloudyard.domains.identity import User
from cloudyard.foundation.database import Database
from cloudyard.foundation.durable import Outbox
from cloudyard.foundation.ids import SystemIds
from cloudyard.testing.clock import ManualClock
from cloudyard.testing.federation import SigningIn, signing_in
from cloudyard.testing.identity import IdentityParts, identity_parts
from cloudyard.testing.oidc_provider import LoopbackProvider, loopback_provider


@pytest.fixture
def identity(database: Database, clock: ManualClock, ids: SystemIds, outbox: Outbox, tmp_path: Path) -> IdentityParts:
    return identity_parts(database, clock, ids, outbox, tmp_path / "mail")


@pytest.fixture
async def ada(identity: IdentityParts) -> User:
    """Registered as ada@example.com / ada_l, with the password `correct horse`."""
    return await identity.users.register(
        email="ada@example.com", password="correct horse", name="Ada Lovelace", username="ada_l"
    )


@pytest.fixture(scope="module")
def running_provider() -> Iterator[LoopbackProvider]:
    with loopback_provider() as provider:
        yield provider


@pytest.fixture
def acme(running_provider: LoopbackProvider, clock: ManualClock) -> LoopbackProvider:
    """A provider at which Ada sits, whom nobody knows here."""
    running_provider.start_over(clock)
    running_provider.signs_in("ada-1", "ada@example.com", given_name="Ada", family_name="Lovelace")
    return running_provider


@pytest.fixture
async def sign_in(
    identity: IdentityParts,
    database: Database,
    clock: ManualClock,
    ids: SystemIds,
    outbox: Outbox,
    acme: LoopbackProvider,
) -> AsyncIterator[SigningIn]:
    """Signing in through that provider."""
    async with signing_in(identity, database, clock, ids, outbox, acme) as made:
        yield made
