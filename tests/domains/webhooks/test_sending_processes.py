"""Several processes send side by side: each delivery goes out once, and each subject in its order."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable

from cryptography.fernet import Fernet

from cloudyard.domains.webhooks import DeliveryFilter, DeliveryState
from cloudyard.foundation.database import Database
from cloudyard.foundation.durable import Outbox
from cloudyard.foundation.ids import SystemIds
from cloudyard.foundation.secret_box import SecretBox
from cloudyard.testing.clock import ManualClock
from cloudyard.testing.waiting import until
from cloudyard.testing.webhooks import Receiver, webhook_parts

Tell = Callable[..., Awaitable[None]]

USERS, EACH = 6, 8


async def test_three_of_them_send_everything_once_and_in_order(
    database: Database, clock: ManualClock, ids: SystemIds, outbox: Outbox, receiver: Receiver, tell: Tell
) -> None:
    box = SecretBox([Fernet.generate_key().decode()])
    crowd = [webhook_parts(database, clock, ids, outbox, box=box) for _ in range(3)]
    webhook, _ = await crowd[0].webhooks.create("admin", url=receiver.url, events=["user.updated"])
    for user in range(USERS):
        await tell(*range(EACH), user=f"user{user}")
    while await crowd[0].dispatcher.deliver_due():
        pass
    await asyncio.gather(*(parts.deliveries.deliver_due() for parts in crowd))
    while await crowd[0].settle():
        pass
    for parts in crowd:
        await parts.sender.close()

    assert len({posted.headers["webhook-id"] for posted in receiver.posted}) == len(receiver.posted) == USERS * EACH
    arrived: dict[str, list[int]] = defaultdict(list)
    for posted in receiver.posted:
        arrived[posted.json["data"]["userId"]].append(posted.json["data"]["number"])
    assert arrived == {f"user{user}": list(range(EACH)) for user in range(USERS)}
    delivered = DeliveryFilter(state=DeliveryState.DELIVERED)
    assert (await crowd[0].webhooks.deliveries(webhook.id, delivered, limit=1))[1] == USERS * EACH


async def test_a_result_that_comes_after_its_lease_is_not_written(
    database: Database, clock: ManualClock, ids: SystemIds, outbox: Outbox, receiver: Receiver, tell: Tell
) -> None:
    box = SecretBox([Fernet.generate_key().decode()])
    slow = webhook_parts(database, clock, ids, outbox, box=box, timeout_seconds=1.0)
    quick = webhook_parts(database, clock, ids, outbox, box=box)
    webhook, _ = await slow.webhooks.create("admin", url=receiver.url, events=["user.updated"])
    await tell(1)
    while await slow.dispatcher.deliver_due():
        pass
    receiver.hang = True
    late = asyncio.create_task(slow.deliveries.deliver_due())
    await until(lambda: bool(receiver.posted))
    clock.advance(120)
    receiver.hang = False
    assert await quick.settle() == 1
    await late
    (delivery,), _ = await quick.webhooks.deliveries(webhook.id, DeliveryFilter(), limit=9)
    _, attempts = await quick.webhooks.delivery(webhook.id, delivery.id)
    assert delivery.state is DeliveryState.DELIVERED
    assert [attempt.status for attempt in attempts] == [200]
    await slow.sender.close()
    await quick.sender.close()
