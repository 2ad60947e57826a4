"""A server with the surface, its upstream and a caller, for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from openai_stack import Caller, Stack, application, served, settings_for

from cloudyard.testing.tables import create_tables
from cloudyard.testing.upstream import Upstream, running_upstream
from cloudyard.wiring import open_services


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with running_upstream() as upstream:
        yield upstream


@pytest.fixture
async def stack(tmp_path: Path, upstream: Upstream) -> AsyncIterator[Stack]:
    async with open_services(settings_for(tmp_path, upstream)) as services:
        await create_tables(services.database)
        await services.load()
        async with served(application(services)) as base_url:
            yield Stack(services, f"{base_url}/v1", upstream)
        await services.stop()


@pytest.fixture
async def caller(stack: Stack) -> AsyncIterator[Caller]:
    caller = await stack.caller()
    yield caller
    await caller.client.aclose()
