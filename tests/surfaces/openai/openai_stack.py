"""The surface behind its gate on a real server, over real services and an upstream whose failures are scripted."""

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import uvicorn
from sqlalchemy import func, select
from starlette.types import ASGIApp

from cloudyard.domains.ledger.models import holds
from cloudyard.foundation.settings import Settings
from cloudyard.foundation.settings.billing import BillingSettings, PriceSettings
from cloudyard.foundation.settings.inference import DeploymentSettings, InferenceSettings, ModelSettings
from cloudyard.surfaces.openai import POLICY, OpenAIErrors, OpenAIServices, create_app
from cloudyard.testing.tables import create_tables
from cloudyard.testing.upstream import Upstream
from cloudyard.web.gate import Gate, GateParts
from cloudyard.web.mount import Mount, SurfaceRouter
from cloudyard.web.proxies import TrustedProxies
from cloudyard.wiring import Services, open_services

NANOS_PER_TOKEN = 1_000_000
GRANTED = 10_000 * NANOS_PER_TOKEN
USERS = 2
TIMEOUT = httpx2.Timeout(60)


Template = tuple[Path, list[str]]
"""A data directory to copy, and the ids of its users."""


@dataclass(frozen=True, slots=True)
class Caller:
    """A user with credit, and a client that carries one of its keys."""

    user_id: str
    key: str
    client: httpx2.AsyncClient


@dataclass(frozen=True, slots=True)
class Stack:
    """A running server with everything behind it."""

    services: Services
    base_url: str
    upstream: Upstream
    users: Iterator[str]
    clients: AsyncExitStack

    async def caller(self, *, nanos: int = GRANTED, **limits: Any) -> Caller:
        """The next user, with credit and a new key."""
        user_id = next(self.users)
        if nanos:
            await self.services.ledger.grant_once(user_id, nanos, key=f"test:{user_id}", reason="test")
        return await self.key_of(user_id, **limits)

    async def key_of(self, user_id: str, **limits: Any) -> Caller:
        """A user with a new key."""
        _, key = await self.services.api_keys.create(user_id, name="test", **limits)
        return Caller(user_id, key, await self.client(key))

    async def client(self, key: str | None, *, connections: int = 10) -> httpx2.AsyncClient:
        """A client that carries a key; closed at the end of the test."""
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        limits = httpx2.Limits(max_connections=connections)
        client = httpx2.AsyncClient(base_url=self.base_url, headers=headers, limits=limits, timeout=TIMEOUT)
        return await self.clients.enter_async_context(client)

    async def spent(self, caller: Caller) -> int:
        """Tokens that were charged, and the proof that nothing is held any more."""
        wallet = await self.services.ledger.wallet(caller.user_id)
        assert wallet.held == 0
        async with self.services.database.reading() as tx:
            assert await tx.scalar(select(func.count()).select_from(holds).where(holds.c.state == "open")) == 0
        return (GRANTED - wallet.available) // NANOS_PER_TOKEN


def settings_for(directory: Path, upstream_url: str) -> Settings:
    """Two models at the upstream, each token for a million nano-dollars."""

    def at_upstream(**model: Any) -> ModelSettings:
        there = DeploymentSettings(name="upstream", kind="openai", base_url=upstream_url, timeout_seconds=5)
        return ModelSettings(deployments=[there], context_length=1000, provider="tests", **model)

    price = [PriceSettings(meter=meter, usd="0.001", per=1) for meter in ("input_token", "output_token")]
    return Settings(
        data_dir=directory,
        inference=InferenceSettings(
            models={
                "parrot": at_upstream(max_output_tokens=100, capabilities=["text", "json_schema", "tools"]),
                "vectors": at_upstream(kind="embedding"),
            },
            aliases={"gpt-4": "parrot"},
            default_models=False,
        ),
        billing=BillingSettings(welcome_credits=0, prices={"model:parrot": price, "model:vectors": price}),
    )


@asynccontextmanager
async def running_stack(template: Template, directory: Path, upstream: Upstream) -> AsyncIterator[Stack]:
    """A server over a copy of the template."""
    data = Path(shutil.copytree(template[0], directory / "data"))
    async with open_services(settings_for(data, upstream.base_url)) as services:
        await services.load()
        async with served(application(services)) as base_url, AsyncExitStack() as clients:
            yield Stack(services, f"{base_url}/v1", upstream, iter(template[1]), clients)
        await services.stop()


async def prepared(directory: Path) -> list[str]:
    """A data directory with its tables, and users: what takes long and is the same for every test."""
    async with open_services(settings_for(directory, "http://127.0.0.1:9/v1")) as services:
        await create_tables(services.database)
        users = [
            await services.users.register(email=f"user{number}@example.com", password="correct horse 9")
            for number in range(USERS)
        ]
    return [user.id for user in users]


def openai_services(services: Services) -> OpenAIServices:
    return OpenAIServices(
        catalogue=services.catalogue,
        generation=services.generation,
        conversations=services.conversations,
        files=services.files,
        idempotency=services.idempotency,
        limits=services.limits,
        metrics=services.metrics,
        clock=services.clock,
        ids=services.ids,
    )


def application(services: Services) -> ASGIApp:
    parts = GateParts(
        sessions=services.sessions,
        limits=services.limits,
        clock=services.clock,
        ids=services.ids,
        metrics=services.metrics,
        tracing=services.tracing,
        proxies=TrustedProxies([]),
        max_body_bytes=100_000,
    )
    gate = Gate(create_app(openai_services(services)), POLICY, OpenAIErrors(), parts)
    return SurfaceRouter([Mount(POLICY.name, POLICY.prefix, gate)], services.ids)


class _Server(uvicorn.Server):
    """Tells when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()


@asynccontextmanager
async def served(app: ASGIApp) -> AsyncIterator[str]:
    """The app on a free port of loopback."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = _Server(uvicorn.Config(app, lifespan="off", log_config=None, timeout_graceful_shutdown=2))
        running = asyncio.create_task(server.serve(sockets=[listener]))
        await server.ready.wait()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await running
