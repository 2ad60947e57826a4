"""Time moves forward, ids are unique and sorted by time, secrets are long enough."""

import uuid

import pytest

from cloudyard.foundation.clock import SystemClock, until_beat
from cloudyard.foundation.ids import SystemIds
from cloudyard.testing.clock import ManualClock


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


@pytest.mark.parametrize(("elapsed", "wait"), [(0.0, 0.5), (0.2, 0.3), (0.5, 0.5), (7.75, 0.25), (0.499, 0.501)])
def test_those_who_keep_a_rhythm_keep_it_together(elapsed: float, wait: float) -> None:
    clock = ManualClock()
    clock.advance(elapsed)
    assert until_beat(clock, 0.5) == pytest.approx(wait)
