"""A process killed between sending a webhook and noting it: it is sent again, under the same id, in order."""

import asyncio
import os
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

from cryptography.fernet import Fernet

from cloudyard.domains.webhooks import DeliveryFilter, DeliveryState
from cloudyard.foundation.crash_points import VARIABLE
from cloudyard.foundation.database import Database
from cloudyard.foundation.durable import Event, Outbox
from cloudyard.foundation.ids import SystemIds
from cloudyard.foundation.secret_box import SecretBox
from cloudyard.testing.clock import ManualClock
from cloudyard.testing.webhooks import running_receiver, webhook_parts

PROGRAM = Path(__file__).with_name("webhook_process.py")


async def send_in_a_process(url: str, key: str, crash_at: str | None) -> int:
    """Its exit status."""
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
    if crash_at is not None:
        environment[VARIABLE] = crash_at
    process = await asyncio.create_subprocess_exec(sys.executable, str(PROGRAM), url, key, env=environment)
    return await process.wait()


async def test_killed_after_sending_it_is_sent_again_under_the_same_id(
    database: Database, database_url: str, ids: SystemIds
) -> None:
    clock, key = ManualClock(datetime.now(UTC)), Fernet.generate_key().decode()
    outbox = Outbox(clock)
    parts = webhook_parts(database, clock, ids, outbox, box=SecretBox([key]))
    async with running_receiver() as receiver:
        webhook, _ = await parts.webhooks.create("admin", url=receiver.url, events=["user.updated"])
        async with database.transaction() as tx:
            await outbox.emit(tx, *(Event("user.updated", "user:u", {"number": number}) for number in (1, 2, 3)))
        assert await send_in_a_process(database_url, key, "webhooks.sent") == -signal.SIGKILL
        assert [posted.json["data"]["number"] for posted in receiver.posted] == [1]

        assert await parts.settle() == 0, "the lease of the killed process has not ended"
        clock.advance(120)
        assert await parts.settle() == 3
        await parts.sender.close()
        numbers = [posted.json["data"]["number"] for posted in receiver.posted]
        told = [posted.headers["webhook-id"] for posted in receiver.posted]
        assert numbers == [1, 1, 2, 3] and told[0] == told[1] and len(set(told)) == 3
    found, total = await parts.webhooks.deliveries(webhook.id, DeliveryFilter(), limit=9)
    assert total == 3 and {each.state for each in found} == {DeliveryState.DELIVERED}


async def test_left_alone_the_same_process_sends_each_once(
    database: Database, database_url: str, ids: SystemIds
) -> None:
    clock, key = ManualClock(datetime.now(UTC)), Fernet.generate_key().decode()
    outbox = Outbox(clock)
    parts = webhook_parts(database, clock, ids, outbox, box=SecretBox([key]))
    async with running_receiver() as receiver:
        await parts.webhooks.create("admin", url=receiver.url, events=["user.updated"])
        async with database.transaction() as tx:
            await outbox.emit(tx, *(Event("user.updated", "user:u", {"number": number}) for number in (1, 2, 3)))
        assert await send_in_a_process(database_url, key, None) == 0
        assert [posted.json["data"]["number"] for posted in receiver.posted] == [1, 2, 3]
    assert await parts.settle() == 0
