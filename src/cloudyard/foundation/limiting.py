"""Rate limits as a port: how much is allowed in a moving window, and where it is counted."""

from typing import Protocol

import msgspec

from cloudyard.foundation.errors import DomainError, ErrorKind


class Limit(msgspec.Struct, frozen=True):
    """At most `amount` in any `seconds` (a moving window)."""

    amount: int
    seconds: int

    def __post_init__(self) -> None:
        if self.amount < 0 or self.seconds <= 0:
            raise ValueError("a limit needs an amount of at least 0 and a window of at least one second")


class Verdict(msgspec.Struct, frozen=True):
    """What a limit said.

    `limit` is its amount, `remaining` what is left of it. `reset_at` is the Unix time in seconds at which the
    window has room again; `retry_after` the seconds to wait for that, 0 when the call was allowed.
    """

    allowed: bool
    limit: int
    remaining: int
    reset_at: int
    retry_after: int


class RateLimited(DomainError):
    """The caller asked too often."""

    code = "rate_limited"
    kind = ErrorKind.RATE_LIMITED


class LimitStore(Protocol):
    """Counts what was taken under each key. Implementations are atomic: parallel callers never share a last unit."""

    @property
    def name(self) -> str:
        """What counts here, for people: `memory`, `valkey`."""
        ...

    async def take(self, key: str, limit: Limit, cost: int = 1) -> Verdict:
        """Take `cost` out of the window of `key`; a refused call takes nothing.

        Raises a `DomainError` of kind UNAVAILABLE when the store cannot be reached.
        """
        ...

    async def peek(self, key: str, limit: Limit) -> Verdict:
        """What `take` would say, without taking."""
        ...

    async def ping(self) -> None:
        """Prove that the store answers; raises a `DomainError` of kind UNAVAILABLE."""
        ...
