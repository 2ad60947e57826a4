"""Runs each test on both event loops: the server's is uvloop, whose transports differ in detail."""

import asyncio
from collections.abc import Coroutine

import pytest
import uvloop
from scripted_server import Run


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a coroutine to its end, for ten seconds at most."""

    def run_it(work: Coroutine[None, None, None]) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(asyncio.wait_for(work, 10))

    return run_it
