from pathlib import Path

import pytest

from cloudyard.domains.audit import AuditLog
from cloudyard.domains.billing import Billing
from cloudyard.domains.identity import EmailTaken, Role
from cloudyard.domains.ledger import Ledger
from cloudyard.foundation.database import Database
from cloudyard.foundation.durable import Outbox
from cloudyard.foundation.ids import SystemIds
from cloudyard.foundation.money import CreditRate
from cloudyard.testing.clock import ManualClock
from cloudyard.testing.identity import identity_parts
from cloudyard.web.registration import register


async def test_a_new_user_has_the_welcome_credits_once(
    database: Database, clock: ManualClock, ids: SystemIds, outbox: Outbox, tmp_path: Path
) -> None:
    identity = identity_parts(database, clock, ids, outbox, tmp_path)
    ledger = Ledger(database, clock, ids, AuditLog(database, clock))
    billing = Billing(database, ledger, CreditRate(), welcome_credits=1000)
    user = await register(
        identity.users, billing, email="op@example.com", password="Long enough 1!", role=Role.NODE_OPERATOR, name="O P"
    )
    assert (user.role, user.first_name, user.last_name) == (Role.NODE_OPERATOR, "O", "P")
    await billing.welcome(user.id)
    assert (await ledger.wallet(user.id)).available == 10_000_000_000
    with pytest.raises(EmailTaken):
        await register(identity.users, billing, email="op@example.com", password="Long enough 1!")
    assert (await ledger.history(user.id, limit=10))[1] == 1
