"""The cache of credentials: fast, bounded, and forgetting at once."""

import asyncio
from datetime import timedelta

import pytest

from cloudyard.domains.identity import CredentialCache, InvalidToken, Principal, Role
from cloudyard.domains.identity.credential_cache import Verified
from cloudyard.testing.clock import ManualClock


def _principal(user: str = "ada") -> Principal:
    return Principal(user, Role.USER, f"session-of-{user}", None)


class Directory:
    """A look-up that counts its calls and answers when told to."""

    def __init__(self, verified: Verified) -> None:
        self.verified = verified
        self.calls = 0
        self.open = asyncio.Event()
        self.open.set()

    async def look_up(self) -> Verified:
        self.calls += 1
        await self.open.wait()
        return self.verified


@pytest.fixture
def cache(clock: ManualClock) -> CredentialCache:
    return CredentialCache(clock, life_seconds=1, capacity=3)


@pytest.fixture
def directory() -> Directory:
    return Directory(Verified(_principal(), None))


async def test_a_credential_is_looked_up_once_in_its_life(
    cache: CredentialCache, directory: Directory, clock: ManualClock
) -> None:
    assert cache.get("token") is None
    for _ in range(3):
        assert await cache.resolve("token", directory.look_up) == _principal()
    assert cache.get("token") == _principal()
    assert directory.calls == 1
    clock.advance(1)
    assert cache.get("token") is None
    await cache.resolve("token", directory.look_up)
    assert directory.calls == 2


async def test_what_is_known_in_one_realm_is_unknown_in_every_other(
    cache: CredentialCache, directory: Directory
) -> None:
    assert await cache.resolve("token", directory.look_up, realm=b"mcp") == _principal()
    assert cache.get("token", realm=b"mcp") == _principal()
    for other in ("token", "tokenmcp", "token\x00mcp"):
        assert cache.get(other) is None
    await cache.resolve("token", directory.look_up)
    assert directory.calls == 2
    cache.forget("ada")
    assert cache.get("token") is cache.get("token", realm=b"mcp") is None


async def test_nothing_is_remembered_beyond_its_expiry(cache: CredentialCache, clock: ManualClock) -> None:
    async def soon() -> Verified:
        return Verified(_principal(), clock.now() + timedelta(seconds=0.5))

    await cache.resolve("token", soon)
    assert cache.get("token") is not None
    clock.advance(0.5)
    assert cache.get("token") is None


async def test_a_life_of_nothing_switches_it_off(directory: Directory, clock: ManualClock) -> None:
    cache = CredentialCache(clock, life_seconds=0)
    await cache.resolve("token", directory.look_up)
    await cache.resolve("token", directory.look_up)
    assert (cache.get("token"), len(cache), directory.calls) == (None, 0, 2)


async def test_it_is_bounded_and_drops_the_oldest_and_the_expired(
    cache: CredentialCache, directory: Directory, clock: ManualClock
) -> None:
    for n in range(50):
        await cache.resolve(f"token-{n}", directory.look_up)
    assert len(cache) == 3
    assert [n for n in range(50) if cache.get(f"token-{n}")] == [47, 48, 49]
    clock.advance(1)
    await cache.resolve("token", directory.look_up)
    assert len(cache) == 1
    cache.forget("ada")
    assert len(cache) == 0


async def test_forgetting_one_user_leaves_the_others(cache: CredentialCache) -> None:
    for user in ("ada", "bob"):
        await cache.resolve(user, Directory(Verified(_principal(user), None)).look_up)
    cache.forget("ada")
    cache.forget("nobody")
    assert (cache.get("ada"), cache.get("bob")) == (None, _principal("bob"))


async def test_calls_that_come_together_share_one_look_up(cache: CredentialCache, directory: Directory) -> None:
    directory.open.clear()
    calls = [asyncio.create_task(cache.resolve("token", directory.look_up)) for _ in range(20)]
    await asyncio.sleep(0)
    calls[0].cancel()
    directory.open.set()
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(outcomes[0], asyncio.CancelledError)
    assert outcomes[1:] == [_principal()] * 19
    assert directory.calls == 1


async def test_a_look_up_under_way_is_not_remembered_once_forgotten_and_not_joined(
    cache: CredentialCache, directory: Directory
) -> None:
    directory.open.clear()
    before = asyncio.create_task(cache.resolve("token", directory.look_up))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    cache.forget("ada")
    after = asyncio.create_task(cache.resolve("token", directory.look_up))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert directory.calls == 2
    directory.open.set()
    assert await before == await after == _principal()
    assert len(cache) == 1
    cache.forget("ada")
    assert cache.get("token") is None


async def test_a_stale_look_up_alone_leaves_nothing_behind(cache: CredentialCache, directory: Directory) -> None:
    directory.open.clear()
    call = asyncio.create_task(cache.resolve("token", directory.look_up))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    cache.forget("somebody else")
    directory.open.set()
    await call
    assert cache.get("token") is None


async def test_a_refusal_reaches_every_caller_and_is_not_remembered(cache: CredentialCache) -> None:
    async def refuse() -> Verified:
        await asyncio.sleep(0)
        raise InvalidToken("no")

    outcomes = await asyncio.gather(*(cache.resolve("token", refuse) for _ in range(3)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [InvalidToken] * 3
    assert len(cache) == 0
    call = asyncio.create_task(cache.resolve("token", refuse))
    await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await asyncio.sleep(0.01)  # the look-up ends without a caller, and without a complaint of asyncio
