"""Telling a client that something it reads has changed (`subscriptions/listen`, since 2026-07-28).

What changes credits and files happens on every surface and in every process, so each open stream looks at the rows now
and then. It ends with the credential that opened it.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import anyio
import structlog
from mcp.server.context import ServerRequestContext
from mcp.server.subscriptions import (
    InMemorySubscriptionBus,
    ListenHandler,
    ResourcesListChanged,
    ResourceUpdated,
    ServerEvent,
)
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_REQUEST, SubscriptionFilter, SubscriptionsListenRequestParams, SubscriptionsListenResult

from cloudyard.domains.identity import Principal, Scope
from cloudyard.foundation.errors import DomainError, ErrorKind
from cloudyard.surfaces.mcp.caller import credential_of, principal_of
from cloudyard.surfaces.mcp.resources import CHAT_HISTORY, MODELS, WALLET
from cloudyard.surfaces.mcp.services import McpServices

log = structlog.get_logger(__name__)

LOOK_SECONDS = 3.0
STREAMS_A_USER = 8
STREAMS = 512

Ctx = ServerRequestContext[Any, Any]
Seen = Mapping[ServerEvent, Hashable]


class Subscriptions:
    """Serves streams, so many for a user and so many in all."""

    def __init__(self, services: McpServices) -> None:
        self._services = services
        self._open: Counter[str] = Counter()

    async def listen(self, ctx: Ctx, params: SubscriptionsListenRequestParams) -> SubscriptionsListenResult:
        """Serve one stream until the client leaves, its credential ends, or the server."""
        caller = principal_of(ctx.request)
        with self._counted(caller.user_id):
            bus = InMemorySubscriptionBus()
            stream = ListenHandler(bus, max_subscriptions=1)
            look = Look(self._services, caller, params.notifications)
            seen = await look.take()
            async with anyio.create_task_group() as group:
                group.start_soon(self._close_at_the_end, stream.close)
                group.start_soon(self._watch, look, seen, bus, stream.close, credential_of(ctx.request))
                result = await stream(ctx, params)
                group.cancel_scope.cancel()
            return result

    async def _close_at_the_end(self, close: Callable[[], None]) -> None:
        await self._services.ending.wait()
        close()

    async def _watch(
        self, look: "Look", seen: Seen, bus: InMemorySubscriptionBus, close: Callable[[], None], credential: str
    ) -> None:
        while True:
            await self._services.clock.sleep(LOOK_SECONDS)
            try:
                if not await self._is_good(credential):
                    close()
                    return
                now = await look.take()
            except DomainError as error:
                log.warning("a subscription could not be looked after", reason=str(error))
                continue
            for event in [event for event, value in now.items() if seen.get(event) != value]:
                await bus.publish(event)
            seen = now

    async def _is_good(self, credential: str) -> bool:
        credentials = self._services.credentials
        try:
            return (credentials.cached(credential) or await credentials.authenticate(credential)) is not None
        except DomainError as error:
            if error.kind is ErrorKind.UNAVAILABLE:
                raise
            return False

    @contextmanager
    def _counted(self, user_id: str) -> Iterator[None]:
        if self._open[user_id] >= STREAMS_A_USER or self._open.total() >= STREAMS:
            raise MCPError(INVALID_REQUEST, "Too many streams are open. Close one, or read the resources now and then.")
        self._open[user_id] += 1
        try:
            yield
        finally:
            self._open[user_id] -= 1
            if not self._open[user_id]:
                del self._open[user_id]


class Look:
    """What a stream's client wants to hear of, as it is at a moment; nothing that the caller may not read."""

    def __init__(self, services: McpServices, caller: Principal, wanted: SubscriptionFilter) -> None:
        self._services = services
        self._caller = caller
        self._uris = frozenset(wanted.resource_subscriptions or ())
        self._lists = bool(wanted.resources_list_changed)

    async def take(self) -> Seen:
        """What is there now, by the event that tells of its change."""
        services, user_id, seen = self._services, self._caller.user_id, dict[ServerEvent, Hashable]()
        if self._may_hear_of(WALLET, Scope.WALLET):
            seen[ResourceUpdated(WALLET)] = await services.ledger.wallet(user_id)
        if self._may_hear_of(CHAT_HISTORY, Scope.INFERENCE):
            turns, _ = await services.conversations.turns(user_id, limit=1, offset=0)
            seen[ResourceUpdated(CHAT_HISTORY)] = _ids(turns)
        if MODELS in self._uris:
            seen[ResourceUpdated(MODELS)] = self._models()
        if self._lists:
            seen[ResourcesListChanged()] = (self._models(), await self._files())
        return seen

    def _may_hear_of(self, uri: str, scope: Scope) -> bool:
        return uri in self._uris and self._caller.allows(scope)

    def _models(self) -> Hashable:
        return tuple(m.name for m in self._services.catalogue.models() if self._caller.may_use_model(m.name))

    async def _files(self) -> Hashable:
        if not self._caller.allows(Scope.FILES):
            return None
        files = self._services.files
        newest, total = await files.list(self._caller.user_id, limit=1)
        return _ids(newest), total


def _ids(records: Iterable[Any]) -> Hashable:
    return tuple(record.id for record in records)
