"""The provider under test."""

from collections.abc import AsyncIterator

import pytest

from cloudyard.backends.generation.openai_compatible import OpenAICompatible


@pytest.fixture
async def provider() -> AsyncIterator[OpenAICompatible]:
    provider = OpenAICompatible(dict)
    yield provider
    await provider.close()
