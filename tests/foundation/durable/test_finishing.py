"""Work that goes on when its caller is stopped."""

import asyncio

import pytest

from cloudyard.foundation.durable import to_its_end


async def stopped(caller: "asyncio.Task[None]") -> None:
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller


async def test_work_is_finished_before_its_caller_ends() -> None:
    begun, done = asyncio.Event(), []

    async def work() -> None:
        begun.set()
        await asyncio.sleep(0.01)
        done.append(True)

    caller = asyncio.create_task(to_its_end(work(), at_most=30))
    await begun.wait()
    await stopped(caller)
    assert done == [True]


async def test_work_without_end_is_stopped_too() -> None:
    begun, ended = asyncio.Event(), []

    async def work() -> None:
        try:
            begun.set()
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    caller = asyncio.create_task(to_its_end(work(), at_most=0.01))
    await begun.wait()
    await stopped(caller)
    assert ended == [True]
