"""Notices that wait to be mailed. Those of one user that come within a window go into one mail."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from cloudyard.domains.notifications.models import notification_digests, notification_mails
from cloudyard.domains.notifications.records import Category, Channel, Preferences, SendState
from cloudyard.foundation.database import Transaction
from cloudyard.foundation.database.upsert import insert_or_ignore
from cloudyard.foundation.durable.leases import held


async def queue_mail(tx: Transaction, notice: Mapping[str, Any], due_at: datetime) -> None:
    """Let a notice wait for the user's next mail, which is due then unless another one opened the window before."""
    row = {**notice, "state": SendState.WAITING.value, "attempts": 0}
    inserted = await tx.execute(insert_or_ignore(tx.dialect, notification_mails).values(row))
    if inserted.rowcount == 1:
        await _open_digest(tx, row["user_id"], due_at)


async def take_mails(tx: Transaction, digest: Row[Any], wanted: Preferences | None) -> Sequence[Row[Any]]:
    """Mark what waits for a user as sent, oldest first; nothing if another process has the digest now.

    What the user does not want any more is dropped, which is everything where `wanted` is None.
    """
    ended = await tx.execute(delete(notification_digests).where(held(notification_digests, digest)))
    if ended.rowcount == 0:
        return []
    mails = notification_mails
    waiting = (mails.c.user_id == digest.user_id) & (mails.c.state == SendState.WAITING.value)
    rows = await tx.all(select(mails).where(waiting).order_by(mails.c.created_at, mails.c.id).with_for_update())
    kept = [row for row in rows if wanted is not None and wanted.want(Category(row.category), Channel.EMAIL)]
    chosen = {row.id for row in kept}
    await mark_mails(tx, [row for row in rows if row.id not in chosen], SendState.DROPPED)
    await mark_mails(tx, kept, SendState.SENT)
    return kept


async def mark_mails(tx: Transaction, rows: Sequence[Row[Any]], state: SendState) -> None:
    """Write what became of mails. A mail that is taken counts one attempt."""
    mails = notification_mails
    one_more = 1 if state is SendState.SENT else 0
    if rows:
        these = mails.c.id.in_([row.id for row in rows])
        await tx.execute(update(mails).where(these).values(state=state.value, attempts=mails.c.attempts + one_more))


async def put_back(tx: Transaction, rows: Sequence[Row[Any]], due_at: datetime) -> None:
    """Let mails of one user wait again that certainly were not sent."""
    await mark_mails(tx, rows, SendState.WAITING)
    await _open_digest(tx, rows[0].user_id, due_at)


async def _open_digest(tx: Transaction, user_id: str, due_at: datetime) -> None:
    """See that a digest is due. One that exists is locked, so that it cannot be taken without the mail just queued."""
    make = postgresql.insert if tx.dialect == "postgresql" else sqlite.insert
    statement = make(notification_digests).values(user_id=user_id, due_at=due_at)
    present = notification_digests.c.due_at
    await tx.execute(statement.on_conflict_do_update(index_elements=["user_id"], set_={"due_at": present}))
