"""Counting requests under a surface's limits and under the limits of API keys."""

from functools import lru_cache

import structlog
from starlette.types import Scope

from cloudyard.domains.identity.records import Principal
from cloudyard.foundation.errors import DomainError, ErrorKind
from cloudyard.foundation.limiting import Limit, LimitStore, RateLimited, Verdict
from cloudyard.foundation.telemetry import Metrics
from cloudyard.web.policy import WEBSOCKET, KeyedBy, LimitRule, SurfacePolicy, Taken
from cloudyard.web.proxies import limit_key_of

log = structlog.get_logger(__name__)

KEY_RULE = "api-key"
MINUTE = 60
REMEMBERED_ROUTES = 1024


class RateLimits:
    """The limits of one surface. Without a store nothing is limited."""

    def __init__(self, policy: SurfacePolicy, store: LimitStore | None, metrics: Metrics) -> None:
        self._policy = policy
        self._rule = lru_cache(REMEMBERED_ROUTES)(policy.rule)
        self._store = store
        self._metrics = metrics

    async def take(self, method: str, path: str, principal: Principal | None, address: str) -> list[Taken]:
        """Count one request under every limit that holds for it; the last one may have refused it.

        While the store cannot be reached requests go uncounted, but for those that the policy guards. Raises the
        store's error for them.
        """
        try:
            taken = await self._take(self._rule(method, path), principal, address)
        except DomainError as error:
            if error.kind is not ErrorKind.UNAVAILABLE or self._policy.is_guarded(method, path):
                raise
            log.warning("request not counted", surface=self._policy.name, reason=str(error))
            return []
        self._count_refused(taken)
        return taken

    async def _take(self, rule: LimitRule | None, principal: Principal | None, address: str) -> list[Taken]:
        taken: list[Taken] = []
        if self._store is None:
            return taken
        if rule is not None:
            limit, key = self._limit_of(rule, principal, address)
            taken.append(Taken(rule.name, limit, await self._store.take(key, limit)))
        if principal is not None and principal.api_key is not None and all(t.verdict.allowed for t in taken):
            await self._take_of_key(self._store, principal, taken)
        return taken

    def refusal(self, taken: list[Taken]) -> RateLimited | None:
        """The error of the limit that refused, if one did."""
        refused = next((t for t in taken if not t.verdict.allowed), None)
        if refused is None:
            return None
        wait = max(1, refused.verdict.retry_after)
        return RateLimited(
            f"Rate limit exceeded: {refused.limit.amount} requests in {refused.limit.seconds} seconds. "
            f"Try again in {wait} seconds.",
            details={"rule": refused.rule, "limit": refused.limit.amount, "window_seconds": refused.limit.seconds},
            retry_after=wait,
        )

    def _limit_of(self, rule: LimitRule, principal: Principal | None, address: str) -> tuple[Limit, str]:
        limit = rule.authenticated if principal is not None else rule.anonymous
        if principal is not None and rule.keyed_by is KeyedBy.CALLER:
            return limit, f"{self._policy.name}:{rule.name}:user:{principal.user_id}"
        return limit, f"{self._policy.name}:{rule.name}:address:{limit_key_of(address)}"

    async def _take_of_key(self, store: LimitStore, principal: Principal, taken: list[Taken]) -> None:
        key = principal.api_key
        if key is None or key.requests_per_minute is None:
            return
        limit = Limit(key.requests_per_minute, MINUTE)
        verdict: Verdict = await store.take(f"api-key:{key.id}:requests", limit)
        taken.append(Taken(KEY_RULE, limit, verdict))

    def _count_refused(self, taken: list[Taken]) -> None:
        for each in taken:
            if not each.verdict.allowed:
                self._metrics.rate_limited(self._policy.name, each.rule)


async def count_message(scope: Scope) -> None:
    """Count a message on an open WebSocket like a request of its own. Raises `RateLimited`."""
    state = scope["state"]
    limits: RateLimits = state["rate_limits"]
    refusal = limits.refusal(await limits.take(WEBSOCKET, state["path"], state["principal"], state["address"]))
    if refusal is not None:
        raise refusal
