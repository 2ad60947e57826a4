"""Ending calls that are no longer wanted.

Since 2026-07-28 a client closes the call's stream, which the server sees by itself. Before, it sends
`notifications/cancelled`, here in a request of its own: without a session nothing but the caller and the call's id tell
which call is meant. Where they name several, none is ended: it may be another program's of the same key.
"""

import asyncio
from collections import defaultdict
from collections.abc import Coroutine
from typing import Any, TypeVar

import anyio
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_REQUEST
from mcp_types.version import is_version_at_least

from cloudyard.surfaces.mcp.caller import principal_of

T = TypeVar("T")
Ctx = ServerRequestContext[Any, Any]
Call = tuple[str, str, str | int]

CANCELLED = "notifications/cancelled"
BY_CLOSING = "2026-07-28"


class Cancellations:
    """Middleware that ends the calls which earlier revisions' clients cancel, in this process."""

    def __init__(self) -> None:
        self._running: dict[Call, list[anyio.CancelScope]] = defaultdict(list)

    async def __call__(self, ctx: Ctx, call_next: CallNext) -> HandlerResult:
        """Pass a message on; note calls while they run."""
        if is_version_at_least(ctx.protocol_version, BY_CLOSING):
            return await call_next(ctx)
        if ctx.method == CANCELLED:
            self._cancel(ctx)
        if ctx.method != "tools/call" or ctx.request_id is None:
            return await call_next(ctx)
        with anyio.CancelScope() as scope:
            call = _call(ctx, ctx.request_id)
            self._running[call].append(scope)
            try:
                return await call_next(ctx)
            finally:
                self._forget(call, scope)
        raise MCPError(INVALID_REQUEST, "The call was cancelled.")

    def _cancel(self, ctx: Ctx) -> None:
        meant = (ctx.params or {}).get("requestId")
        running = self._running.get(_call(ctx, meant), []) if isinstance(meant, str | int) else []
        if len(running) == 1:
            running[0].cancel()

    def _forget(self, call: Call, scope: anyio.CancelScope) -> None:
        self._running[call].remove(scope)
        if not self._running[call]:
            del self._running[call]


async def cancelled_once(work: Coroutine[Any, Any, T]) -> T:
    """Do work that has to tidy up when it is cancelled: anyio would cancel each step of that anew."""
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        task.cancel()
        with anyio.CancelScope(shield=True):
            await asyncio.wait([task])
        raise


def _call(ctx: Ctx, request_id: str | int) -> Call:
    caller = principal_of(ctx.request)
    key, application = caller.api_key, caller.delegation
    credential = key.id if key is not None else application.id if application is not None else caller.session_id or ""
    return caller.user_id, credential, request_id
