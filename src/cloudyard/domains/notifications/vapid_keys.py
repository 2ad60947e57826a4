"""The key pair of web push: made when it is first needed and kept for ever: every subscription is bound to it."""

import base64
import binascii

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import delete, select

from cloudyard.domains.audit import AuditLog
from cloudyard.domains.notifications.models import push_keys, push_subscriptions
from cloudyard.domains.notifications.ports import VapidKeys
from cloudyard.foundation.clock import Clock
from cloudyard.foundation.database import Database, Transaction
from cloudyard.foundation.database.upsert import insert_or_ignore
from cloudyard.foundation.secret_box import SecretBox

THE_KEY = "vapid"
NUMBER_BYTES = 32
POINT_BYTES = 65
CREATED = "push_key.created"
DISCARDED = "push_key.discarded"


class VapidKeyStore:
    """The key pair, the private half encrypted."""

    def __init__(self, database: Database, clock: Clock, box: SecretBox, audit: AuditLog) -> None:
        self._database = database
        self._clock = clock
        self._box = box
        self._audit = audit

    async def get(self) -> VapidKeys:
        """The keys; new ones where there are none yet. Raises `SecretUnreadable` where the encryption key is gone."""
        return await self._read() or await self._create()

    async def unreadable(self, tx: Transaction) -> bool:
        """Whether there is a key pair that no encryption key at hand can read."""
        sealed = await tx.scalar(select(push_keys.c.sealed_private_key))
        return sealed is not None and not self._box.can_read(sealed)

    async def discard_unreadable(self, tx: Transaction) -> bool:
        """Delete a key pair that cannot be read, with every subscription, since they are of use with it alone."""
        if not await self.unreadable(tx):
            return False
        ended = await tx.execute(delete(push_subscriptions))
        await tx.execute(delete(push_keys))
        await self._audit.record(tx, None, DISCARDED, "push_key", {"subscriptions_ended": ended.rowcount})
        return True

    async def _read(self) -> VapidKeys | None:
        async with self._database.reading() as tx:
            row = await tx.first(select(push_keys))
        return VapidKeys(row.public_key, self._box.decrypt(row.sealed_private_key)) if row is not None else None

    async def _create(self) -> VapidKeys:
        made = new_keys()
        row = {
            "id": THE_KEY,
            "public_key": made.public,
            "sealed_private_key": self._box.encrypt(made.private),
            "created_at": self._clock.now(),
        }
        async with self._database.transaction() as tx:
            inserted = await tx.execute(insert_or_ignore(tx.dialect, push_keys).values(row))
            if inserted.rowcount == 1:
                await self._audit.record(tx, None, CREATED, "push_key")
        return await self._read() or made  # another process may have been first: its keys are the ones


def new_keys() -> VapidKeys:
    """A key pair on P-256."""
    private = ec.generate_private_key(ec.SECP256R1())
    number = private.private_numbers().private_value.to_bytes(NUMBER_BYTES, "big")
    point = private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return VapidKeys(to_base64(point), to_base64(number))


def is_point(text: str) -> bool:
    """Whether this is an uncompressed point of P-256 in URL-safe base64."""
    try:
        point = from_base64(text)
        ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    except ValueError:
        return False
    return len(point) == POINT_BYTES


def to_base64(raw: bytes) -> str:
    """URL-safe base64 without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def from_base64(text: str) -> bytes:
    """The bytes behind URL-safe base64, padded or not. Raises ValueError."""
    try:
        return base64.b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from error
