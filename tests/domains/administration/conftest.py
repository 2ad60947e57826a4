"""Administration over each database, with an administrator and a user who has credit."""

from pathlib import Path

import pytest

from cloudyard.domains.administration import Administration
from cloudyard.domains.identity import User
from cloudyard.domains.ledger import Ledger
from cloudyard.foundation.database import Database
from cloudyard.foundation.durable import Outbox
from cloudyard.foundation.ids import SystemIds
from cloudyard.testing.clock import ManualClock
from cloudyard.testing.identity import IdentityParts, identity_parts

WELCOME = 10_000_000_000


@pytest.fixture
def identity(database: Database, clock: ManualClock, ids: SystemIds, outbox: Outbox, tmp_path: Path) -> IdentityParts:
    return identity_parts(database, clock, ids, outbox, tmp_path / "mail")


@pytest.fixture
def ledger(database: Database, clock: ManualClock, ids: SystemIds, identity: IdentityParts) -> Ledger:
    return Ledger(database, clock, ids, identity.audit)


@pytest.fixture
def administration(database: Database, clock: ManualClock, ids: SystemIds, identity: IdentityParts) -> Administration:
    return Administration(database, clock, ids, identity.audit, identity.users)


@pytest.fixture
async def root(identity: IdentityParts) -> User:
    await identity.users.ensure_admin("root@example.com", "admin password")
    found = await identity.users.find_by_email("root@example.com")
    assert found is not None
    return found


@pytest.fixture
async def ada(identity: IdentityParts, ledger: Ledger) -> User:
    user = await identity.users.register(email="ada@example.com", password="correct horse", name="Ada Lovelace")
    await ledger.grant_once(user.id, WELCOME, key=f"welcome:{user.id}", reason="Welcome credits")
    return user
