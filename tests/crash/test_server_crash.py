"""A server that is killed in the middle of a charged call, and what is left when it is started again."""

import asyncio
from pathlib import Path
from typing import Any

import httpx2
import pytest

from cloudyard.testing.mortal_server import books_are_right, mortal_server, signed_in
from cloudyard.testing.upstream import PIECES, Behaviour, Upstream

QUESTION = {"model": "parrot", "messages": [{"role": "user", "content": "Where?"}], "max_tokens": 100}
HELD_USD = 0.1
PRICE_USD = 0.001 * len(PIECES)
WELCOME_USD = 1.0


async def wallet(client: httpx2.AsyncClient) -> dict[str, Any]:
    answer = await client.get("/neurogrid/api/wallet")
    found: dict[str, Any] = answer.json()["data"]
    return found


async def ask(client: httpx2.AsyncClient, **more: Any) -> httpx2.Response:
    return await client.post("/v1/chat/completions", json={**QUESTION, **more})


@pytest.mark.parametrize(
    ("point", "stream", "charged", "left_held"),
    [
        ("charge.held", True, 0.0, HELD_USD),
        ("charge.before_settle", True, 0.0, HELD_USD),
        ("charge.settled", True, PRICE_USD, 0.0),
        ("charge.settled", False, PRICE_USD, 0.0),
    ],
)
async def test_a_killed_call_costs_what_was_settled_and_no_more(
    data_dir: Path, point: str, stream: bool, charged: float, left_held: float
) -> None:
    async with mortal_server(data_dir, crash_at=point) as server, signed_in(server.url) as client:
        with pytest.raises(httpx2.TransportError):
            await ask(client, stream=stream)
        assert await server.died() < 0
    assert books_are_right(data_dir)

    async with mortal_server(data_dir) as server, signed_in(server.url) as client:
        after = await wallet(client)
        assert after["held"] == pytest.approx(left_held)
        assert after["balance"] == pytest.approx(WELCOME_USD - charged - left_held)
        assert (await ask(client)).status_code == 200
    assert books_are_right(data_dir)


@pytest.mark.parametrize("point", ["charge.begun", "inference.answered", "charge.before_settle"])
async def test_a_call_killed_while_its_hold_may_be_on_its_way_to_the_disk_costs_nothing(
    data_dir: Path, point: str
) -> None:
    async with mortal_server(data_dir, crash_at=point) as server, signed_in(server.url) as client:
        with pytest.raises(httpx2.TransportError):
            await ask(client)
        assert await server.died() < 0
    assert books_are_right(data_dir)
    async with mortal_server(data_dir) as server, signed_in(server.url) as client:
        after = await wallet(client)
    assert after["held"] in (0.0, pytest.approx(HELD_USD))
    assert after["balance"] + after["held"] == pytest.approx(WELCOME_USD)


async def test_a_hold_left_by_a_crash_expires_and_is_given_back(data_dir: Path) -> None:
    async with mortal_server(data_dir, crash_at="charge.held") as server, signed_in(server.url) as client:
        with pytest.raises(httpx2.TransportError):
            await ask(client, stream=True)

    async with mortal_server(data_dir) as server, signed_in(server.url) as client:
        assert (await wallet(client))["held"] == pytest.approx(HELD_USD)
        async with asyncio.timeout(90):
            while (await wallet(client))["held"] > 0:  # noqa: ASYNC110 - the other process tells nobody
                await asyncio.sleep(0.5)
        assert (await wallet(client))["balance"] == pytest.approx(WELCOME_USD)
    assert books_are_right(data_dir)


@pytest.mark.parametrize("point", ["charge.before_settle", "charge.settled"])
async def test_a_retry_with_its_key_is_never_charged_twice(data_dir: Path, point: str) -> None:
    key = {"Idempotency-Key": "one-question"}
    async with mortal_server(data_dir, crash_at=point) as server, signed_in(server.url) as client:
        client.headers.update(key)
        with pytest.raises(httpx2.TransportError):
            await ask(client)

    async with mortal_server(data_dir) as server, signed_in(server.url) as client:
        client.headers.update(key)
        again = await ask(client)
        del client.headers["Idempotency-Key"]
        after = await wallet(client)
        spent = WELCOME_USD - after["balance"] - after["held"]
    if point == "charge.settled":
        assert again.status_code == 200
        assert "".join(PIECES) in again.text
        assert spent == pytest.approx(PRICE_USD)
    else:
        # The first call may still run elsewhere for all that the key knows: it is refused until its lease ends.
        assert again.status_code == 409
        assert spent == pytest.approx(0.0)
    assert books_are_right(data_dir)


async def test_a_server_asked_to_stop_finishes_what_it_began(data_dir: Path, upstream: Upstream) -> None:
    upstream.behave(Behaviour(first_after=1.5))
    async with mortal_server(data_dir) as server, signed_in(server.url) as client:
        asking = asyncio.create_task(ask(client))
        await upstream.next_call()
        assert await server.stop() == 0
        answer = await asking
        assert answer.status_code == 200
        assert "".join(PIECES) in answer.text
    assert books_are_right(data_dir)
