"""A server with the surface, its upstream and a caller, for each test."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from openai_stack import Caller, Stack, application, prepared, served, settings_for

from cloudyard.testing.upstream import Upstream, running_upstream
from cloudyard.wiring import open_services


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with running_upstream() as upstream:
        yield upstream


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    directory = tmp_path_factory.mktemp("template")
    return directory, asyncio.run(prepared(directory))


@pytest.fixture
async def stack(template: tuple[Path, list[str]], tmp_path: Path, upstream: Upstream) -> AsyncIterator[Stack]:
    directory = Path(shutil.copytree(template[0], tmp_path / "data"))
    async with open_services(settings_for(directory, upstream.base_url)) as services:
        await services.load()
        async with served(application(services)) as base_url:
            yield Stack(services, f"{base_url}/v1", upstream, iter(template[1]))
        await services.stop()


@pytest.fixture
async def caller(stack: Stack) -> AsyncIterator[Caller]:
    caller = await stack.caller()
    yield caller
    await caller.client.aclose()
