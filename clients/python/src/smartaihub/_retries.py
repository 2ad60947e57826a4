"""Which failures are worth another try, and how long to wait before it."""

import random
from dataclasses import dataclass
from typing import Any

from smartaihub._errors import APIConnectionError, APIError, SmartAIHubError
from smartaihub._requests import Repeat, Request

TOO_MANY = 429
CONFLICT = 409
TRANSIENT = frozenset({500, 502, 503, 504})

_random = random.SystemRandom()


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and after how many seconds a failed request is tried again.

    The wait doubles from `first_delay` up to `longest_delay`, and is cut at random to half of that at most, so that
    clients do not come back together. The server's Retry-After counts instead where it is longer; one that is longer
    than `longest_retry_after` is not waited for.
    """

    retries: int = 2
    first_delay: float = 0.5
    longest_delay: float = 8.0
    longest_retry_after: float = 60.0

    def wait(self, request: Request[Any], failure: SmartAIHubError, retry: int) -> float | None:
        """Seconds to wait before retry number `retry` (from 0), None if there shall be none."""
        if retry >= self.retries or not may_repeat(request, failure):
            return None
        return self.delay(failure, retry)

    def delay(self, failure: SmartAIHubError, retry: int) -> float | None:
        """The same for what may be repeated and is counted elsewhere."""
        asked = failure.retry_after if isinstance(failure, APIError) and failure.retry_after is not None else 0.0
        if asked > self.longest_retry_after:
            return None
        backed_off = min(self.longest_delay, self.first_delay * 2.0**retry)
        return max(asked, backed_off * _random.uniform(0.5, 1.0))


def may_repeat(request: Request[Any], failure: SmartAIHubError) -> bool:
    """Whether sending the request again can help, and can do nothing twice."""
    if isinstance(failure, APIConnectionError):
        return failure.unsent or request.repeat is not Repeat.UNSENT
    if not isinstance(failure, APIError) or failure.replayed:
        return False
    if failure.status == TOO_MANY:
        return True
    if failure.status == CONFLICT:  # with Retry-After: the first request with this key still runs
        return request.repeat is Repeat.KEYED and failure.retry_after is not None
    return failure.status in TRANSIENT and request.repeat is not Repeat.UNSENT
