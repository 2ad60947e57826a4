"""Charged inference over real services; the models' server is an upstream whose answers are scripted."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from charged_calls import GRANTED, ChargedCalls, settings_for

from cloudyard.backends.generation.openai_compatible import OpenAICompatible
from cloudyard.domains.identity import Principal
from cloudyard.domains.identity.records import Role
from cloudyard.domains.inference import Endpoint, Generation, LocalModel, Observer, Router, WorkerStatus
from cloudyard.testing.tables import create_tables
from cloudyard.testing.upstream import Upstream, running_upstream
from cloudyard.wiring import open_services


class UpstreamAsWorker:
    """Local models whose worker is the upstream."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream

    @asynccontextmanager
    async def lease(self, model: LocalModel) -> AsyncIterator[Endpoint]:
        yield Endpoint(self._upstream.base_url)

    async def start(self, model: LocalModel) -> None:
        return None

    async def failed(self, model: LocalModel) -> None:
        return None

    def statuses(self) -> Sequence[WorkerStatus]:
        return []

    async def close(self) -> None:
        return None


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with running_upstream() as upstream:
        yield upstream


@pytest.fixture
async def calls(tmp_path: Path, upstream: Upstream) -> AsyncIterator[ChargedCalls]:
    async with open_services(settings_for(tmp_path, upstream.base_url)) as services:
        await create_tables(services.database)
        await services.load()
        user = await services.users.register(email="caller@example.com", password="correct horse 9")
        await services.ledger.grant_once(user.id, GRANTED, key="test", reason="test")
        provider = OpenAICompatible(dict, services.clock)
        generation = Generation(
            services.catalogue,
            services.prices,
            services.charges,
            Router(services.clock),
            provider,
            UpstreamAsWorker(upstream),
            Observer(services.metrics, services.tracing, services.clock, capture_content=False),
        )
        yield ChargedCalls(services, generation, upstream, Principal(user.id, Role.USER, "session", None))
        await provider.close()
        await services.stop()
