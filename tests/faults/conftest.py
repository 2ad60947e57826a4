"""Two upstreams in the test's own process, and a data directory that names the first."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from visitor import write_settings

from cloudyard.testing.upstream import Upstream, running_upstream


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with running_upstream() as upstream:
        yield upstream


@pytest.fixture
def data_dir(tmp_path: Path, upstream: Upstream) -> Path:
    directory = tmp_path / "data"
    write_settings(directory, {"upstream": upstream.base_url})
    return directory
