"""A process killed while it tells of usage: every charge is told once, whether its deliveries were committed or not."""

import asyncio
import os
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from cloudyard.domains.webhooks import DeliveryFilter
from cloudyard.foundation.crash_points import VARIABLE
from cloudyard.foundation.database import Database
from cloudyard.foundation.durable import Outbox
from cloudyard.foundation.ids import SystemIds
from cloudyard.foundation.secret_box import SecretBox
from cloudyard.testing.clock import ManualClock
from cloudyard.testing.factories import open_books
from cloudyard.testing.webhooks import running_receiver, webhook_parts

PROGRAM = Path(__file__).with_name("usage_process.py")


async def tell_in_a_process(url: str, key: str, crash_at: str | None) -> int:
    """Its exit status."""
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
    if crash_at is not None:
        environment[VARIABLE] = crash_at
    process = await asyncio.create_subprocess_exec(sys.executable, str(PROGRAM), url, key, env=environment)
    return await process.wait()


@pytest.mark.parametrize(("crash_at", "written_by_then"), [("usage.taken", 0), ("usage.told", 3)])
async def test_killed_on_its_way_it_tells_each_charge_once(
    database: Database, database_url: str, ids: SystemIds, crash_at: str, written_by_then: int
) -> None:
    clock, key = ManualClock(datetime.now(UTC)), Fernet.generate_key().decode()
    parts = webhook_parts(database, clock, ids, Outbox(clock), box=SecretBox([key]))
    books = open_books(database, clock, ids)
    async with running_receiver() as receiver:
        webhook, _ = await parts.webhooks.create("admin", url=receiver.url, events=["credit.used"])
        user_id, price = await books.user(100), await books.price()
        charged = [(await books.charge(user_id, price)).hold_id for _ in range(3)]
        assert await tell_in_a_process(database_url, key, crash_at) == -signal.SIGKILL
        assert (await parts.webhooks.deliveries(webhook.id, DeliveryFilter(), limit=9))[1] == written_by_then

        assert await tell_in_a_process(database_url, key, None) == 0
        clock.advance(60)
        await parts.deliveries.deliver_due()
        await parts.sender.close()
        assert [posted.json["data"]["usageRecordId"] for posted in receiver.posted] == charged
