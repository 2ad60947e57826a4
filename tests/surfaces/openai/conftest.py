"""A server with the surface, its upstream and a caller, for each test."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from openai_stack import Caller, Stack, Template, prepared, running_stack

from cloudyard.testing.upstream import Upstream, running_upstream


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with running_upstream() as upstream:
        yield upstream


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    directory = tmp_path_factory.mktemp("template")
    return directory, asyncio.run(prepared(directory))


@pytest.fixture
async def stack(template: Template, tmp_path: Path, upstream: Upstream) -> AsyncIterator[Stack]:
    async with running_stack(template, tmp_path, upstream) as stack:
        yield stack


@pytest.fixture
async def caller(stack: Stack) -> Caller:
    return await stack.caller()
