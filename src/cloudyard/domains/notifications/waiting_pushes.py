"""Notices that wait to be pushed: one row for each browser that the user had registered by then."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, delete, exists, insert, select, update

from cloudyard.domains.identity.models import users
from cloudyard.domains.identity.records import UserStatus
from cloudyard.domains.notifications.models import notification_pushes, push_deliveries, push_subscriptions
from cloudyard.domains.notifications.preferences import read_preferences
from cloudyard.domains.notifications.records import Category, Channel, Preferences, SendState
from cloudyard.foundation.database import Transaction
from cloudyard.foundation.database.upsert import insert_or_ignore
from cloudyard.foundation.durable.leases import NOW, claim, give_back, held
from cloudyard.foundation.ids import Ids

LEASE = timedelta(minutes=2)
NEVER = datetime.fromisoformat("9999-12-31T00:00:00+00:00")
"""When what does not wait comes due, so that whoever looks for what is due does not wade through it."""
IS_DUE = select(exists().where(push_deliveries.c.state == SendState.WAITING.value, push_deliveries.c.due_at <= NOW))


@dataclass(frozen=True, slots=True)
class Taken:
    """A push that is marked as sent and now has to be handed over: the row that was claimed, what it says, to whom."""

    row: Row[Any]
    words: Row[Any]


async def queue_push(tx: Transaction, ids: Ids, notice: Mapping[str, Any]) -> None:
    """Let a notice wait for each of the user's browsers, once. Without any, nothing is kept."""
    mine = push_subscriptions.c.user_id == notice["user_id"]
    browsers = [row.id for row in await tx.all(select(push_subscriptions.c.id).where(mine))]
    if not browsers:
        return
    inserted = await tx.execute(insert_or_ignore(tx.dialect, notification_pushes).values(notice))
    if inserted.rowcount == 1:
        waiting = {"push_id": notice["id"], "state": SendState.WAITING.value, "due_at": notice["created_at"]}
        rows = [{"id": ids.new(), "subscription_id": browser, **waiting} for browser in browsers]
        await tx.execute(insert(push_deliveries), rows)


def is_due(connection: Connection, now: datetime) -> bool:
    """Whether anything waits whose time has come."""
    return bool(connection.scalar(IS_DUE, {"now": now}))


async def take_pushes(tx: Transaction, now: datetime, limit: int) -> Sequence[Taken]:
    """Mark what is due as sent. What its user does not want any more, or may not get, is dropped."""
    table = push_deliveries
    rows = await claim(tx, table, now=now, lease=LEASE, limit=limit, where=[table.c.state == SendState.WAITING.value])
    if not rows:
        return []
    words = await _words(tx, [row.id for row in rows])
    preferences = {user_id: await read_preferences(tx, user_id) for user_id in {w.user_id for w in words.values()}}
    wanted = {key for key, said in words.items() if _is_wanted(said, preferences[said.user_id])}
    await _mark(tx, [row.id for row in rows if row.id not in wanted], SendState.DROPPED)
    await _mark(tx, sorted(wanted), SendState.SENT)
    return [Taken(row, words[row.id]) for row in rows if row.id in wanted]


async def put_back(tx: Transaction, taken: Taken, error: str, due_at: datetime) -> None:
    """Let a push wait again that the push service certainly did not take, or whose answer never came."""
    state = SendState.WAITING.value
    await give_back(tx, push_deliveries, taken.row, state=state, due_at=due_at, last_error=error)


async def give_up(tx: Transaction, taken: Taken, error: str) -> None:
    """Write that a push was not taken and never will be."""
    failed = update(push_deliveries).where(held(push_deliveries, taken.row))
    await tx.execute(failed.values(state=SendState.FAILED.value, due_at=NEVER, last_error=error))


async def drop_subscription(tx: Transaction, taken: Taken) -> None:
    """Forget a browser that is gone, with everything that waits for it; one that registered anew meanwhile stays."""
    table = push_subscriptions
    same = (table.c.id == taken.row.subscription_id) & (table.c.sealed_auth == taken.words.sealed_auth)
    await tx.execute(delete(table).where(same))


async def _words(tx: Transaction, ids: Sequence[str]) -> dict[str, Row[Any]]:
    """What each push says and where it goes, if the browser is still its user's."""
    push, browser, delivery = notification_pushes, push_subscriptions, push_deliveries
    query = (
        select(
            delivery.c.id.label("delivery_id"),
            *push.c,
            browser.c.endpoint,
            browser.c.p256dh,
            browser.c.sealed_auth,
            users.c.status,
        )
        .join_from(delivery, push, push.c.id == delivery.c.push_id)
        .join(browser, (browser.c.id == delivery.c.subscription_id) & (browser.c.user_id == push.c.user_id))
        .join(users, users.c.id == push.c.user_id)
        .where(delivery.c.id.in_(ids))
    )
    return {row.delivery_id: row for row in await tx.all(query)}


def _is_wanted(words: Row[Any], preferences: Preferences) -> bool:
    active = bool(words.status == UserStatus.ACTIVE.value)
    return active and preferences.want(Category(words.category), Channel.PUSH)


async def _mark(tx: Transaction, ids: Sequence[str], state: SendState) -> None:
    if ids:
        these = push_deliveries.c.id.in_(ids)
        await tx.execute(update(push_deliveries).where(these).values(state=state.value, due_at=NEVER))
