"""Time moves forward, ids are unique and sorted by time, secrets are long enough."""

import uuid

from cloudyard.foundation.clock import SystemClock
from cloudyard.foundation.ids import SystemIds


async def test_the_system_clock() -> None:
    clock = SystemClock()
    began, at = clock.monotonic(), clock.now()
    await clock.sleep(0.01)
    assert clock.monotonic() - began >= 0.01
    assert clock.now() > at
    assert at.utcoffset() is not None and at.utcoffset() == clock.now().utcoffset()


def test_ids_are_unique_and_ordered_by_time() -> None:
    ids = SystemIds()
    made = [ids.new() for _ in range(10_000)]
    assert len(set(made)) == len(made)
    assert made == sorted(made)
    assert {uuid.UUID(one).version for one in made} == {7}
    assert {len(one) for one in made} == {36}


def test_secrets() -> None:
    ids = SystemIds()
    assert len({ids.token() for _ in range(100)}) == 100
    assert len(ids.token(32)) >= 43
    assert len(ids.hex(16)) == 32
    assert bytes.fromhex(ids.hex(16))
