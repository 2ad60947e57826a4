"""The provider under test."""

from collections.abc import AsyncIterator

import pytest

from cloudyard.backends.generation.openai_compatible import OpenAICompatible
from cloudyard.testing.clock import ManualClock


@pytest.fixture
async def provider(clock: ManualClock) -> AsyncIterator[OpenAICompatible]:
    provider = OpenAICompatible(dict, clock)
    yield provider
    await provider.close()
