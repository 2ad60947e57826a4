"""A provider on the loopback with Ada at it, and the code flow with it."""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from oidc_flow import EMAIL, Flow

from cloudyard.testing.clock import ManualClock
from cloudyard.testing.oidc_provider import (
    LoopbackProvider,
    loopback_provider,
)


@pytest.fixture(scope="module")
def running() -> Iterator[LoopbackProvider]:
    with loopback_provider() as provider:
        yield provider


@pytest.fixture
def acme(running: LoopbackProvider, clock: ManualClock) -> LoopbackProvider:
    """A provider at which Ada sits."""
    running.start_over(clock)
    running.signs_in("ada-1", EMAIL, given_name="Ada", family_name="Lovelace")
    return running


@pytest.fixture
async def flow(acme: LoopbackProvider, clock: ManualClock) -> AsyncIterator[Flow]:
    flow = Flow(acme, clock)
    yield flow
    await flow.close()


@pytest.fixture
async def flow_with(acme: LoopbackProvider, clock: ManualClock) -> AsyncIterator[Callable[..., Flow]]:
    """Makes flows with other settings."""
    made: list[Flow] = []

    def make(**changes: Any) -> Flow:
        made.append(Flow(acme, clock, **changes))
        return made[-1]

    yield make
    for each in made:
        await each.close()
