"""A model's upstream refuses, is silent, talks nonsense, breaks off, or is not there at all."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
from visitor import Visitor, error_of, pieces_of, visiting, write_settings

from cloudyard.domains.inference.metering import about_tokens_of
from cloudyard.testing.upstream import PIECES, Behaviour, Upstream, running_upstream
from cloudyard.testing.waiting import eventually

BEFORE_THE_FIRST_TOKEN = {
    "failing": Behaviour(status=500),
    "overloaded": Behaviour(status=429, retry_after=7),
    "refusing the key": Behaviour(status=401),
    "gone": Behaviour(break_after=0),
    "babbling": Behaviour(malformed=True, break_after=0),
    "babbling JSON": Behaviour(malformed=True, break_after=0, garbage=b'{"choices": [null]}'),
}
IN_MID_STREAM = {
    "cut": Behaviour(break_after=3),
    "babbling": Behaviour(break_after=3, malformed=True),
    "announced": Behaviour(break_after=3, announced_error=True),
}
DELIVERED = about_tokens_of("".join(PIECES[:3]))
ASKS = ({}, {"stream": True})


def silent() -> Behaviour:
    """An upstream that takes a call and never says anything."""
    return Behaviour(held=asyncio.Event())


@pytest.fixture
async def second() -> AsyncIterator[Upstream]:
    async with running_upstream() as upstream:
        yield upstream


async def refused(visitor: Visitor, **more: object) -> httpx2.Response:
    """A call that fails, and costs nothing."""
    before = await visitor.spent()
    answer = await visitor.ask(**more)
    error_of(answer, 502, "provider_unavailable")
    assert await visitor.spent() == before
    return answer


async def test_a_failure_before_the_first_token_costs_nothing_and_is_over_when_it_is_over(
    data_dir: Path, upstream: Upstream
) -> None:
    async with visiting(data_dir) as visitor:
        for number, (name, behaviour) in enumerate([*BEFORE_THE_FIRST_TOKEN.items(), ("silent", silent())], start=1):
            upstream.behave(behaviour)
            answers = [await refused(visitor, **more) for more in ASKS]
            if name == "overloaded":
                assert [answer.headers["retry-after"] for answer in answers] == ["7", "7"]
            assert (await visitor.is_not_ready())[1].keys() == {"model parrot"}
            upstream.behave(Behaviour())
            assert (await visitor.ask()).status_code == 200
            assert await visitor.spent() == number * len(PIECES)
            await visitor.becomes_ready()

        upstream.behave(Behaviour(status=500))
        question = {"message": "Where?", "model": "parrot", "max_tokens": 10}
        answer = await visitor.client.post("/pynode/api/chat", json=question)
        assert (answer.status_code, answer.json()["code"]) == (502, "UPSTREAM_ERROR")
        assert "failed with 500" in answer.json()["message"] and "scripted" not in answer.text
        assert "scripted 500" in visitor.server.log
        assert await visitor.spent() == number * len(PIECES)


async def test_a_stream_that_breaks_off_ends_with_an_error_and_costs_what_came(
    data_dir: Path, upstream: Upstream
) -> None:
    async with visiting(data_dir) as visitor:
        for number, behaviour in enumerate([*IN_MID_STREAM.values(), Behaviour(held=asyncio.Event(), held_after=3)]):
            upstream.behave(behaviour)
            async with visitor.asking() as stream:
                *events, last = await stream.events()
            assert (last["error"]["code"], stream.ended) == ("provider_unavailable", False)
            assert pieces_of(events) == list(PIECES[:3])
            await visitor.finally_spent((number + 1) * DELIVERED)


async def test_another_deployment_takes_over_before_the_first_token_and_never_after(
    tmp_path: Path, upstream: Upstream, second: Upstream
) -> None:
    data_dir = tmp_path / "data"
    write_settings(data_dir, {"first": upstream.base_url, "second": second.base_url})
    async with visiting(data_dir) as visitor:
        for number, behaviour in enumerate([*BEFORE_THE_FIRST_TOKEN.values(), silent()], start=1):
            upstream.behave(behaviour)
            assert (await visitor.ask()).status_code == 200
            async with visitor.asking() as stream:
                assert pieces_of(await stream.events()) == list(PIECES)
            assert await visitor.spent() == number * 2 * len(PIECES)
        taken_over = len(second.calls)
        assert taken_over == 2 * number

        upstream.behave(Behaviour())
        asked = len(upstream.calls)
        await eventually(visitor.ask, lambda found: len(upstream.calls) > asked)
        before, taken_over = await visitor.spent(), len(second.calls)
        upstream.behave(Behaviour(break_after=3))
        async with visitor.asking() as stream:
            *_, last = await stream.events()
        assert (last["error"]["code"], len(second.calls)) == ("provider_unavailable", taken_over)
        await visitor.finally_spent(before + DELIVERED)


async def test_an_upstream_that_is_not_there_is_used_once_it_is(tmp_path: Path) -> None:
    async with running_upstream() as upstream:
        data_dir, port = tmp_path / "data", upstream.port
        write_settings(data_dir, {"upstream": upstream.base_url})
    async with visiting(data_dir) as visitor:
        for more in ASKS:
            answer = await refused(visitor, **more)
            assert int(answer.headers["retry-after"]) >= 1
        async with running_upstream(port):
            answer = await eventually(visitor.ask, lambda found: found.status_code == 200)
            assert await visitor.spent() == len(PIECES)
            await visitor.becomes_ready()
