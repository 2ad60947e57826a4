"""Who gets room on a deployment: weights, health, the queue, and callers who leave it."""

import asyncio
from collections import Counter
from dataclasses import replace

import pytest

from cloudyard.domains.inference import Deployment, Endpoint, Model, ModelBusy, ModelKind, ProviderUnavailable, Router
from cloudyard.testing.clock import ManualClock


def deployment(name: str, *, weight: int = 1, room: int = 1) -> Deployment:
    return Deployment("m", name, "m", weight, room, 10.0, endpoint=Endpoint("http://127.0.0.1:1/v1"))


def model(clock: ManualClock, *deployments: Deployment, max_queue: int = 4) -> Model:
    return Model("m", ModelKind.CHAT, "", "", 100, 10, frozenset(), max_queue, deployments, clock.now())


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_calls_are_spread_by_weight(clock: ManualClock) -> None:
    router = Router(clock)
    wanted = model(clock, deployment("a", weight=3, room=100), deployment("b", weight=1, room=100))
    chosen: Counter[str] = Counter()
    for _ in range(40):
        async with router.slot(wanted) as taken:
            chosen[taken.name] += 1
    assert chosen == {"a": 30, "b": 10}


async def test_weight_zero_serves_only_when_nothing_else_does(clock: ManualClock) -> None:
    router = Router(clock)
    wanted = model(clock, deployment("a"), deployment("spare", weight=0))
    async with router.slot(wanted) as first, router.slot(wanted) as second:
        assert (first.name, second.name) == ("a", "spare")


async def test_failures_in_a_row_take_a_deployment_out_for_a_while(clock: ManualClock) -> None:
    router = Router(clock)
    wanted = model(clock, deployment("a", room=9), deployment("b", room=9))
    for _ in range(3):
        router.failed(wanted.deployments[0])
    assert {health.name: health.healthy for health in router.health(wanted)} == {"a": False, "b": True}
    for _ in range(4):
        async with router.slot(wanted) as taken:
            assert taken.name == "b"
    clock.advance(2)
    assert all(health.healthy for health in router.health(wanted))


async def test_the_queue_is_bounded_and_first_come_first_served(clock: ManualClock) -> None:
    router = Router(clock)
    wanted = model(clock, deployment("a"), max_queue=2)
    served: list[int] = []

    async def call(number: int) -> None:
        async with router.slot(wanted):
            served.append(number)

    async with router.slot(wanted):
        waiting = [asyncio.create_task(call(number)) for number in range(2)]
        await turns()
        with pytest.raises(ModelBusy):
            await call(9)
    await asyncio.gather(*waiting)
    assert served == [0, 1]


async def test_a_caller_that_leaves_the_queue_gives_its_place_up(clock: ManualClock) -> None:
    router = Router(clock)
    wanted = model(clock, deployment("a"), max_queue=1)

    async def call() -> None:
        async with router.slot(wanted):
            pass

    async with router.slot(wanted):
        gone = asyncio.create_task(call())
        await turns()
        gone.cancel()
        await turns()
        next_one = asyncio.create_task(call())
        await turns()
        assert not next_one.done()
    await next_one
    assert gone.cancelled()


async def test_a_caller_that_leaves_just_as_it_is_woken_passes_the_room_on(clock: ManualClock) -> None:
    router = Router(clock)
    wanted = model(clock, deployment("a"))

    async def call() -> None:
        async with router.slot(wanted):
            pass

    async with router.slot(wanted):
        woken, behind = asyncio.create_task(call()), asyncio.create_task(call())
        await turns()
    woken.cancel()
    await asyncio.wait_for(behind, 5)


async def test_room_wakes_the_first_who_can_use_it(clock: ManualClock) -> None:
    router = Router(clock)
    wanted = model(clock, deployment("a"), deployment("b"))
    order: list[str] = []

    async def call(name: str, excluded: frozenset[str]) -> None:
        async with router.slot(wanted, excluded):
            order.append(name)

    a, b = await router.take(wanted, frozenset()), await router.take(wanted, frozenset())
    picky = asyncio.create_task(call("picky", frozenset({b.name})))
    await turns()
    easy = asyncio.create_task(call("easy", frozenset()))
    await turns()
    router.leave(b)
    await asyncio.wait_for(easy, 5)
    assert order == ["easy"]
    router.leave(a)
    await asyncio.wait_for(picky, 5)


async def test_nothing_left_to_try_is_said(clock: ManualClock) -> None:
    router = Router(clock)
    wanted = replace(model(clock, deployment("a")), deployments=())
    with pytest.raises(ProviderUnavailable):
        async with router.slot(wanted):
            pass
