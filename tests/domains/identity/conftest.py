"""Identity over each database, with a registered user to begin with."""

from pathlib import Path

import pytest

from cloudyard.domains.identity import User
from cloudyard.foundation.database import Database
from cloudyard.foundation.durable import Outbox
from cloudyard.foundation.ids import SystemIds
from cloudyard.testing.clock import ManualClock
from cloudyard.testing.identity import IdentityParts, identity_parts


@pytest.fixture
def identity(database: Database, clock: ManualClock, ids: SystemIds, outbox: Outbox, tmp_path: Path) -> IdentityParts:
    return identity_parts(database, clock, ids, outbox, tmp_path / "mail")


@pytest.fixture
async def ada(identity: IdentityParts) -> User:
    """Registered as ada@example.com / ada_l, with the password `correct horse`."""
    return await identity.users.register(
        email="ada@example.com", password="correct horse", name="Ada Lovelace", username="ada_l"
    )
