"""What users want to hear of, as rows keep it."""

from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Select, select, update

from cloudyard.domains.notifications.models import notification_preferences
from cloudyard.domains.notifications.records import Preferences
from cloudyard.foundation.database import Transaction
from cloudyard.foundation.database.upsert import insert_or_ignore


async def read_preferences(tx: Transaction, user_id: str, *, lock: bool = False) -> Preferences:
    """A user's preferences; everything is on until the user says otherwise."""
    table = notification_preferences
    query: Select[Any] = select(table.c.choices).where(table.c.user_id == user_id)
    choices = await tx.scalar(query.with_for_update() if lock else query)
    return msgspec.convert(choices, Preferences) if choices is not None else Preferences()


async def lock_preferences(tx: Transaction, user_id: str, now: datetime) -> Preferences:
    """A user's preferences, locked against other changes until the transaction ends."""
    row = {"user_id": user_id, "choices": msgspec.to_builtins(Preferences()), "updated_at": now}
    await tx.execute(insert_or_ignore(tx.dialect, notification_preferences).values(row))
    return await read_preferences(tx, user_id, lock=True)


async def write_preferences(tx: Transaction, user_id: str, preferences: Preferences, now: datetime) -> None:
    """Write preferences that are locked."""
    table = notification_preferences
    values = {"choices": msgspec.to_builtins(preferences), "updated_at": now}
    await tx.execute(update(table).where(table.c.user_id == user_id).values(values))
