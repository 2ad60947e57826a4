"""Notifications over each database, with a folder of mail, and a user whose address is verified."""

from pathlib import Path

import pytest

from cloudyard.backends.mail.file_outbox import FileMailer
from cloudyard.domains.identity import User
from cloudyard.domains.notifications import Notifications, Postman
from cloudyard.foundation.database import Database
from cloudyard.foundation.durable import Outbox
from cloudyard.foundation.ids import SystemIds
from cloudyard.testing.clock import ManualClock
from cloudyard.testing.identity import IdentityParts, identity_parts
from cloudyard.testing.notices import NoticeParts, notice_parts

PASSWORD = "correct horse"


@pytest.fixture
def identity(database: Database, clock: ManualClock, ids: SystemIds, outbox: Outbox, tmp_path: Path) -> IdentityParts:
    return identity_parts(database, clock, ids, outbox, tmp_path / "mail")


@pytest.fixture
def parts(
    database: Database, clock: ManualClock, ids: SystemIds, outbox: Outbox, identity: IdentityParts
) -> NoticeParts:
    return notice_parts(
        database, clock, ids, outbox, identity, FileMailer(identity.mail_folder, sender="Cloudyard <noreply@localhost>")
    )


@pytest.fixture
def notifications(parts: NoticeParts) -> Notifications:
    return parts.notifications


@pytest.fixture
def postman(parts: NoticeParts) -> Postman:
    return parts.postman


@pytest.fixture
async def ada(identity: IdentityParts, parts: NoticeParts) -> User:
    """Registered as ada@example.com, with a verified address, and welcomed."""
    user = await identity.users.register(email="ada@example.com", password=PASSWORD)
    await identity.recovery.verify_email(await identity.mailed_token("ada@example.com", "verify-email"))
    return await identity.users.get(user.id)


@pytest.fixture
async def bob(identity: IdentityParts, parts: NoticeParts) -> User:
    """Registered as bob@example.com, who never verified the address."""
    return await identity.users.register(email="bob@example.com", password=PASSWORD)
