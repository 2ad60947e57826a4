import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Annotated, Any

import httpx2
import pytest
from fastapi import APIRouter, Body

from cloudyard.domains.identity import TokenPair
from cloudyard.foundation.clock import SystemClock
from cloudyard.foundation.database import Database
from cloudyard.foundation.durable import BackgroundWork, IdempotencyKeys, StoredAnswer, every
from cloudyard.foundation.durable.idempotency import (
    EXTENDED_EVERY,
    IN_FLIGHT_FOR,
    IdempotencyKeyInFlight,
    KeyClaim,
)
from cloudyard.foundation.errors import InvalidInput
from cloudyard.testing.clock import ManualClock
from cloudyard.testing.identity import IdentityParts
from cloudyard.web.errors import ProblemRenderer
from cloudyard.web.gate import Gate, GateParts
from cloudyard.web.idempotency import IdempotentRoute, fingerprint, once
from cloudyard.web.policy import SurfacePolicy
from cloudyard.web.surface_app import new_surface_app

POLICY = SurfacePolicy(name="probe", title="Probe", prefix="/probe")


class Counter:
    def __init__(self) -> None:
        self.calls = 0
        self.called = asyncio.Event()
        self.go_on = asyncio.Event()
        self.go_on.set()


@pytest.fixture
def counter() -> Counter:
    return Counter()


@pytest.fixture
async def client(
    gate_parts: GateParts, sqlite_database: Database, counter: Counter
) -> AsyncIterator[httpx2.AsyncClient]:
    keys = IdempotencyKeys(sqlite_database, SystemClock())
    app = new_surface_app(POLICY, ProblemRenderer(), services=None, description="", idempotency_keys=keys)
    router = APIRouter(route_class=IdempotentRoute)

    @router.post("/things", status_code=201)
    async def make(value: Annotated[dict[str, Any], Body()]) -> dict[str, Any]:
        counter.calls += 1
        counter.called.set()
        await counter.go_on.wait()
        if value.get("bad"):
            raise InvalidInput("no")
        return {"number": counter.calls, **value}

    @router.post("/others", status_code=201)
    async def make_other(value: Annotated[dict[str, Any], Body()]) -> int:
        counter.calls += 1
        return counter.calls

    app.include_router(router)
    transport = httpx2.ASGITransport(app=Gate(app, POLICY, ProblemRenderer(), gate_parts))
    async with httpx2.AsyncClient(transport=transport, base_url="http://probe") as client:
        yield client


@pytest.fixture
async def headers(identity: IdentityParts) -> dict[str, str]:
    return await headers_of(identity, "ann@example.com")


async def headers_of(identity: IdentityParts, email: str) -> dict[str, str]:
    user = await identity.users.register(email=email, password="Long enough 1!")
    session: TokenPair = await identity.sessions.start(user.id)
    return {"Authorization": f"Bearer {session.access_token}", "Idempotency-Key": "k-1"}


async def test_the_same_key_and_body_get_the_same_answer_and_nothing_happens_twice(
    client: httpx2.AsyncClient, headers: dict[str, str], counter: Counter
) -> None:
    first = await client.post("/things", json={"a": 1}, headers=headers)
    again = await client.post("/things", json={"a": 1}, headers=headers)
    assert first.status_code == again.status_code == 201
    assert first.content == again.content
    assert again.headers["content-type"] == first.headers["content-type"]
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert counter.calls == 1


async def test_another_body_under_the_same_key_is_refused(
    client: httpx2.AsyncClient, headers: dict[str, str], counter: Counter
) -> None:
    await client.post("/things", json={"a": 1}, headers=headers)
    other = await client.post("/things", json={"a": 2}, headers=headers)
    assert other.status_code == 422
    assert other.json()["code"] == "idempotency_key_reused"
    assert counter.calls == 1


async def test_a_repeat_while_the_first_is_running_is_refused(
    client: httpx2.AsyncClient, headers: dict[str, str], counter: Counter
) -> None:
    counter.go_on.clear()
    running = asyncio.create_task(client.post("/things", json={"a": 1}, headers=headers))
    await counter.called.wait()
    meanwhile = await client.post("/things", json={"a": 1}, headers=headers)
    counter.go_on.set()
    assert meanwhile.status_code == 409
    assert meanwhile.headers["retry-after"] == "1"
    assert (await running).status_code == 201
    assert counter.calls == 1


async def test_a_request_that_failed_may_come_again(
    client: httpx2.AsyncClient, headers: dict[str, str], counter: Counter
) -> None:
    for _ in range(2):
        assert (await client.post("/things", json={"bad": True}, headers=headers)).status_code == 400
    assert counter.calls == 2


async def test_keys_of_different_users_and_operations_never_meet(
    client: httpx2.AsyncClient, headers: dict[str, str], counter: Counter, identity: IdentityParts
) -> None:
    await client.post("/things", json={"a": 1}, headers=headers)
    await client.post("/others", json={"a": 1}, headers=headers)
    bob = await headers_of(identity, "bob@example.com")
    await client.post("/things", json={"a": 1}, headers=bob)
    assert counter.calls == 3


async def test_without_a_key_every_request_counts(
    client: httpx2.AsyncClient, headers: dict[str, str], counter: Counter
) -> None:
    del headers["Idempotency-Key"]
    for _ in range(2):
        await client.post("/things", json={"a": 1}, headers=headers)
    assert counter.calls == 2


async def test_a_key_that_is_too_long_is_refused(client: httpx2.AsyncClient, headers: dict[str, str]) -> None:
    headers["Idempotency-Key"] = "k" * 256
    assert (await client.post("/things", json={}, headers=headers)).status_code == 400


async def test_a_producer_may_store_its_answer_with_its_own_change(sqlite_database: Database) -> None:
    keys = IdempotencyKeys(sqlite_database, SystemClock())

    async def produce(claim: KeyClaim) -> None:
        await sqlite_database.run(keys.completion(claim, StoredAnswer(200, {}, b"mine")))

    assert await once(keys, "u:op", "k", "f", produce) is None
    replayed = await once(keys, "u:op", "k", "f", produce)
    assert replayed is not None
    assert replayed.body == b"mine"


async def test_a_cancelled_request_may_come_again(sqlite_database: Database) -> None:
    keys = IdempotencyKeys(sqlite_database, SystemClock())
    begun = asyncio.Event()

    async def hangs(_claim: KeyClaim) -> StoredAnswer:
        begun.set()
        await asyncio.sleep(3600)
        return StoredAnswer(200, {}, b"")

    async def answers(_claim: KeyClaim) -> StoredAnswer:
        return StoredAnswer(200, {}, b"second")

    task = asyncio.create_task(once(keys, "u:op", "k", "f", hangs))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    answer = await once(keys, "u:op", "k", "f", answers)
    assert answer is not None
    assert answer.body == b"second"


class Process:
    """A server's idempotency keys, and the loop that extends its claims, on a clock that the test moves."""

    def __init__(self, database: Database, clock: ManualClock) -> None:
        self.keys = IdempotencyKeys(database, clock)
        self._clock = clock
        self._extended = asyncio.Event()
        self._work = BackgroundWork(clock, {"keys": every(clock, EXTENDED_EVERY.total_seconds(), self._extend)})

    async def __aenter__(self) -> "Process":
        self._work.start()
        await asyncio.sleep(0)
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self._work.stop()

    async def live_for(self, time: timedelta) -> None:
        """Move the clock, and wait each time until the claims are extended that are to be by then."""
        for _ in range(time // EXTENDED_EVERY):
            self._extended.clear()
            self._clock.advance(EXTENDED_EVERY.total_seconds())
            async with asyncio.timeout(10):
                await self._extended.wait()

    async def _extend(self) -> None:
        await self.keys.extend_running()
        self._extended.set()


@pytest.fixture
async def process(database: Database, clock: ManualClock) -> AsyncIterator[Process]:
    async with Process(database, clock) as process:
        yield process


class Work:
    """Something that takes until it is told to end."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.end = asyncio.Event()

    async def __call__(self, _claim: KeyClaim) -> StoredAnswer:
        self.begun.set()
        await self.end.wait()
        return StoredAnswer(200, {}, b"first")


async def answers(_claim: KeyClaim) -> StoredAnswer:
    return StoredAnswer(200, {}, b"another")


async def test_a_repeat_is_refused_however_long_the_first_runs(
    process: Process, database: Database, clock: ManualClock
) -> None:
    work = Work()
    first = asyncio.create_task(once(process.keys, "u:op", "k", "f", work))
    await work.begun.wait()
    await process.live_for(2 * IN_FLIGHT_FOR)
    for keys in (process.keys, IdempotencyKeys(database, clock)):
        with pytest.raises(IdempotencyKeyInFlight):
            await once(keys, "u:op", "k", "f", answers)
    work.end.set()
    await first
    replayed = await once(process.keys, "u:op", "k", "f", answers)
    assert replayed is not None
    assert (replayed.body, replayed.headers) == (b"first", {"idempotency-replayed": "true"})


async def test_of_a_request_that_was_cancelled_nothing_is_extended(
    process: Process, database: Database, clock: ManualClock
) -> None:
    work = Work()
    first = asyncio.create_task(once(process.keys, "u:op", "k", "f", work))
    await work.begun.wait()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    # At the very same moment, so that the claim of the process that dies now looks like the one that was cancelled.
    dying = IdempotencyKeys(database, clock)
    assert isinstance(await dying.begin("u:op", "k", "f"), KeyClaim)
    await process.live_for(IN_FLIGHT_FOR + EXTENDED_EVERY)
    answer = await once(process.keys, "u:op", "k", "f", answers)
    assert answer is not None
    assert answer.body == b"another"


async def test_a_request_that_ended_without_an_answer_frees_its_key_in_the_usual_time(process: Process) -> None:
    async def stores_nothing(_claim: KeyClaim) -> None:
        await process.live_for(2 * IN_FLIGHT_FOR)

    assert await once(process.keys, "u:op", "k", "f", stores_nothing) is None
    await process.live_for(IN_FLIGHT_FOR)
    with pytest.raises(IdempotencyKeyInFlight):
        await once(process.keys, "u:op", "k", "f", answers)
    await process.live_for(EXTENDED_EVERY)
    answer = await once(process.keys, "u:op", "k", "f", answers)
    assert answer is not None
    assert answer.body == b"another"


def test_the_fingerprint_tells_method_path_and_body_apart() -> None:
    prints = {fingerprint("POST", "/a", b"x"), fingerprint("PUT", "/a", b"x"), fingerprint("POST", "/b", b"x")}
    assert len(prints | {fingerprint("POST", "/a", b"y")}) == 4
