"""A data directory whose only model is a scripted upstream in the test's own process."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cloudyard.testing.upstream import Upstream, running_upstream

SETTINGS = """
[inference]
default_models = false

[[inference.models.parrot.deployments]]
name = "upstream"
kind = "openai"
base_url = "{base_url}"

[billing]
welcome_credits = 100
hold_seconds = 30

[[billing.prices."model:parrot"]]
meter = "output_token"
usd = "0.001"
"""


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with running_upstream() as upstream:
        yield upstream


@pytest.fixture
def data_dir(tmp_path: Path, upstream: Upstream) -> Path:
    directory = tmp_path / "data"
    directory.mkdir()
    (directory / "cloudyard.toml").write_text(SETTINGS.format(base_url=upstream.base_url))
    return directory
