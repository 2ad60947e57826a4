"""The browsers that show a user's notices."""

import hashlib
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite

from cloudyard.domains.notifications.errors import InvalidSubscription, SubscriptionNotFound, TooManySubscriptions
from cloudyard.domains.notifications.models import push_subscriptions
from cloudyard.domains.notifications.records import PushSubscription
from cloudyard.domains.notifications.vapid_keys import VapidKeyStore, from_base64, is_point, to_base64
from cloudyard.foundation.clock import Clock
from cloudyard.foundation.database import Database, Transaction
from cloudyard.foundation.ids import Ids
from cloudyard.foundation.outbound_addresses import AddressRules
from cloudyard.foundation.secret_box import SecretBox

MOST_SUBSCRIPTIONS = 20
AUTH_BYTES = 16
ID = re.compile(r"[A-Za-z0-9_-]{1,48}")


class PushSubscriptions:
    """What browsers registered. An endpoint belongs to whoever registered it last: browsers are handed on."""

    def __init__(
        self, database: Database, clock: Clock, ids: Ids, box: SecretBox, keys: VapidKeyStore, rules: AddressRules
    ) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids
        self._box = box
        self._keys = keys
        self._rules = rules

    async def public_key(self) -> str:
        """What a browser subscribes with (`applicationServerKey`), in URL-safe base64.

        Raises `SecretUnreadable` where the encryption key is gone.
        """
        return (await self._keys.get()).public

    async def register(self, user_id: str, *, endpoint: str, p256dh: str, auth: str) -> PushSubscription:
        """Register a browser's subscription; what was registered before stays and keeps its id.

        Raises `UnusableUrl`, `AddressForbidden`, `InvalidSubscription`, `TooManySubscriptions`.
        """
        self._rules.check_url(endpoint)
        _check_keys(p256dh, auth)
        point, secret = (to_base64(from_base64(key)) for key in (p256dh, auth))
        keys = {"p256dh": point, "sealed_auth": self._box.encrypt(secret)}
        async with self._database.transaction() as tx:
            return _subscription(await self._write(tx, user_id, endpoint, keys))

    async def list(self, user_id: str) -> Sequence[PushSubscription]:
        """A user's browsers, newest first."""
        table = push_subscriptions
        newest_first = (table.c.created_at.desc(), table.c.id.desc())
        async with self._database.reading() as tx:
            rows = await tx.all(select(table).where(table.c.user_id == user_id).order_by(*newest_first))
        return [_subscription(row) for row in rows]

    async def remove(self, user_id: str, subscription_id: str) -> None:
        """Push nothing more to a browser of the user. Raises `SubscriptionNotFound`."""
        table, removed = push_subscriptions, 0
        if ID.fullmatch(subscription_id):
            mine = (table.c.id == subscription_id) & (table.c.user_id == user_id)
            async with self._database.transaction() as tx:
                removed = (await tx.execute(delete(table).where(mine))).rowcount
        if not removed:
            raise SubscriptionNotFound(
                "You have no push subscription with this id. List your subscriptions to see those there are."
            )

    async def end(self, user_id: str, until: datetime) -> None:
        """Push nothing more to any browser that the user had registered by then. It may register again."""
        table = push_subscriptions
        async with self._database.transaction() as tx:
            await tx.execute(delete(table).where(table.c.user_id == user_id, table.c.created_at <= until))

    async def _write(self, tx: Transaction, user_id: str, endpoint: str, keys: dict[str, str]) -> Row[Any]:
        table, digest = push_subscriptions, _digest(endpoint)
        mine = table.c.user_id == user_id
        if await tx.scalar(select(table.c.id).where(mine, table.c.endpoint_digest == digest)) is None:
            await _require_room(tx, mine)
        row = {
            "id": self._ids.new(),
            "user_id": user_id,
            "endpoint": endpoint,
            "endpoint_digest": digest,
            "created_at": self._clock.now(),
            **keys,
        }
        make = postgresql.insert if tx.dialect == "postgresql" else sqlite.insert
        taken_over = {"user_id": user_id, **keys}
        written = make(table).values(row).on_conflict_do_update(index_elements=["endpoint_digest"], set_=taken_over)
        return (await tx.execute(written.returning(*table.c))).one()


async def _require_room(tx: Transaction, mine: ColumnElement[bool]) -> None:
    if int(await tx.scalar(select(func.count()).select_from(push_subscriptions).where(mine))) >= MOST_SUBSCRIPTIONS:
        raise TooManySubscriptions(
            f"You have {MOST_SUBSCRIPTIONS} push subscriptions, which is the most. Remove one that you no longer use."
        )


def _check_keys(p256dh: str, auth: str) -> None:
    """What RFC 8291, section 3, asks of the keys of a subscription."""
    if not is_point(p256dh):
        raise InvalidSubscription(
            "`p256dh` is no public key on P-256 in URL-safe base64. Send the subscription as the browser gives it.",
            field="keys.p256dh",
        )
    try:
        secret = from_base64(auth)
    except ValueError:
        secret = b""
    if len(secret) != AUTH_BYTES:
        raise InvalidSubscription(
            f"`auth` is not {AUTH_BYTES} bytes in URL-safe base64. Send the subscription as the browser gives it.",
            field="keys.auth",
        )


def _digest(endpoint: str) -> str:
    return hashlib.sha256(endpoint.encode()).hexdigest()


def _subscription(row: Row[Any]) -> PushSubscription:
    return PushSubscription(row.id, row.user_id, row.endpoint, row.created_at)
