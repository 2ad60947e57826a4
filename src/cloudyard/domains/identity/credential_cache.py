"""What is known of the credentials seen in the last moments, so that a busy caller costs no database work."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from cloudyard.domains.identity.records import Principal
from cloudyard.foundation.clock import Clock

CAPACITY = 10_000
EVERYWHERE = b""


@dataclass(frozen=True, slots=True)
class Verified:
    """A principal and the moment from which its credential is no longer accepted (None: no such moment)."""

    principal: Principal
    accepted_until: datetime | None


class CredentialCache:
    """Principals by the hash of their credential, each for `life_seconds` and never beyond its expiry.

    `forget` takes effect at once in this process, also on look-ups that are under way. `tell` passes it on to other
    processes; one that does not hear of it honours what it remembers until its life ends.
    What is remembered in one realm is unknown in every other: a credential of one place opens no second one.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        life_seconds: float,
        capacity: int = CAPACITY,
        tell: Callable[[str], None] | None = None,
    ) -> None:
        self._clock = clock
        self._life = life_seconds
        self._capacity = capacity
        self._tell = tell
        self._known: dict[bytes, tuple[Principal, float]] = {}  # oldest first
        self._of_user: dict[str, set[bytes]] = {}
        self._under_way: dict[bytes, asyncio.Task[Principal]] = {}
        self._times_forgotten = 0

    def __len__(self) -> int:
        """How many credentials are remembered."""
        return len(self._known)

    def get(self, credential: str, *, realm: bytes = EVERYWHERE) -> Principal | None:
        """The principal, if it is remembered: a hash and a look into a dictionary."""
        known = self._known.get(_digest(credential) + realm)
        if known is None or known[1] <= self._clock.monotonic():
            return None
        return known[0]

    async def resolve(
        self, credential: str, look_up: Callable[[], Awaitable[Verified]], *, realm: bytes = EVERYWHERE
    ) -> Principal:
        """The principal, remembered or looked up; calls that come together share one look-up. Raises what it raises."""
        known = self.get(credential, realm=realm)
        if known is not None:
            return known
        digest = _digest(credential) + realm
        task = self._under_way.get(digest)
        if task is None:
            task = asyncio.create_task(self._looked_up(digest, look_up))
            self._under_way[digest] = task
            task.add_done_callback(partial(self._finished, digest))
        return await asyncio.shield(task)

    def forget(self, user_id: str) -> None:
        """Forget all credentials of a user, here and elsewhere; a look-up that has begun is not remembered."""
        self.forget_here(user_id)
        if self._tell is not None:
            self._tell(user_id)

    def forget_all_here(self) -> None:
        """Forget everything in this process: it may not have heard of something."""
        for user_id in [*self._of_user]:
            self.forget_here(user_id)

    def forget_here(self, user_id: str) -> None:
        """Forget all credentials of a user in this process."""
        self._times_forgotten += 1
        self._under_way.clear()
        for digest in self._of_user.pop(user_id, set()):
            del self._known[digest]

    async def _looked_up(self, digest: bytes, look_up: Callable[[], Awaitable[Verified]]) -> Principal:
        before = self._times_forgotten
        verified = await look_up()
        if self._times_forgotten == before:
            self._remember(digest, verified)
        return verified.principal

    def _finished(self, digest: bytes, task: asyncio.Task[Principal]) -> None:
        if self._under_way.get(digest) is task:
            del self._under_way[digest]
        if not task.cancelled():
            task.exception()  # seen, even where every caller has left meanwhile

    def _remember(self, digest: bytes, verified: Verified) -> None:
        now = self._clock.monotonic()
        life = self._life
        if verified.accepted_until is not None:
            life = min(life, (verified.accepted_until - self._clock.now()).total_seconds())
        if life <= 0:
            return
        self._drop(digest)
        self._make_room(now)
        self._known[digest] = (verified.principal, now + life)
        self._of_user.setdefault(verified.principal.user_id, set()).add(digest)

    def _make_room(self, now: float) -> None:
        while self._known:
            oldest = next(iter(self._known))
            if len(self._known) < self._capacity and self._known[oldest][1] > now:
                return
            self._drop(oldest)

    def _drop(self, digest: bytes) -> None:
        known = self._known.pop(digest, None)
        if known is None:
            return
        user_id = known[0].user_id
        self._of_user[user_id].discard(digest)
        if not self._of_user[user_id]:
            del self._of_user[user_id]


def _digest(credential: str) -> bytes:
    return hashlib.sha256(credential.encode("utf-8", "surrogatepass")).digest()
