"""Names whose server is silent hold up nobody else."""

import asyncio
import os
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from cloudyard.backends.checked_http import checked_session
from cloudyard.backends.name_lookup import LOOKUPS_AT_ONCE, NameLookup
from cloudyard.testing.waiting import until
from cloudyard.testing.webhooks import running_receiver

THREADS_OF_EVERYBODY = min(32, (os.cpu_count() or 1) + 4)


class SilentServers:
    """Name servers that answer for names below `.silent` only once the test is over."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.over = threading.Event()
        self._ask = socket.getaddrinfo

    def getaddrinfo(self, host: Any, *where: Any, **how: Any) -> Any:
        if not str(host).endswith(".silent"):
            return self._ask(host, *where, **how)
        self.asked.append(str(host))
        assert self.over.wait(60)
        raise socket.gaierror(socket.EAI_AGAIN, "no answer")


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[SilentServers]:
    servers = SilentServers()
    monkeypatch.setattr(socket, "getaddrinfo", servers.getaddrinfo)
    yield servers
    servers.over.set()


def accept(_address: str) -> None:
    """Every address is allowed."""


async def test_names_that_hang_take_no_thread_of_everybody(silent: SilentServers) -> None:
    session = checked_session(accept, timeout_seconds=30, user_agent="test")

    async def post(number: int) -> None:
        await session.post(f"http://host{number}.silent/", allow_redirects=False)

    posts = [asyncio.create_task(post(number)) for number in range(THREADS_OF_EVERYBODY)]
    await until(lambda: len(silent.asked) == THREADS_OF_EVERYBODY)
    async with asyncio.timeout(20):
        assert await asyncio.get_running_loop().run_in_executor(None, lambda: "hashed") == "hashed"
    async with running_receiver() as receiver, asyncio.timeout(20):
        url = receiver.url.replace("127.0.0.1", "localhost")
        assert (await session.post(url, allow_redirects=False)).status == 200
    silent.over.set()
    assert all(isinstance(end, OSError) for end in await asyncio.gather(*posts, return_exceptions=True))
    await session.close()


async def test_so_many_names_are_asked_for_at_once_and_no_more(silent: SilentServers) -> None:
    names = NameLookup()
    lookups = [asyncio.create_task(names.resolve(f"host{number}.silent")) for number in range(LOOKUPS_AT_ONCE + 3)]
    await until(lambda: len(silent.asked) == LOOKUPS_AT_ONCE)
    assert not any(lookup.done() for lookup in lookups)
    silent.over.set()
    assert all(isinstance(end, OSError) for end in await asyncio.gather(*lookups, return_exceptions=True))
    assert len(silent.asked) == LOOKUPS_AT_ONCE + 3


async def test_who_gives_up_waiting_leaves_no_room_for_another_thread(silent: SilentServers) -> None:
    names = NameLookup(at_once=4)

    async def impatient(host: str) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await names.resolve(host)

    first = [asyncio.create_task(names.resolve(f"host{number}.silent")) for number in range(4)]
    await until(lambda: len(silent.asked) == 4)
    for lookup in first:
        lookup.cancel()
    assert all(isinstance(end, asyncio.CancelledError) for end in await asyncio.gather(*first, return_exceptions=True))
    for number in range(5):
        await asyncio.gather(*(impatient(f"later{number}-{each}.silent") for each in range(4)))
    assert len(silent.asked) == 4, "each of them holds its thread until the server answers"
    silent.over.set()
    assert await names.resolve("localhost", 80)
    assert len(silent.asked) == 4, "nobody waits for the others any more"
    await names.close()


async def test_a_turn_that_does_not_come_is_not_waited_for(silent: SilentServers) -> None:
    names = NameLookup(at_once=1, longest_seconds=2.0)
    first = asyncio.create_task(names.resolve("first.silent"))
    await until(lambda: silent.asked == ["first.silent"])
    ends = await asyncio.gather(first, names.resolve("second.silent"), return_exceptions=True)
    assert all(isinstance(end, TimeoutError) for end in ends)
    silent.over.set()
    with pytest.raises(socket.gaierror):
        await names.resolve("third.silent")
    assert silent.asked == ["first.silent", "third.silent"]
    await names.close()


async def test_what_a_name_leads_to() -> None:
    found = await NameLookup().resolve("localhost", 80, socket.AF_INET)
    assert [(each["hostname"], each["host"], each["port"], each["family"]) for each in found] == [
        ("localhost", "127.0.0.1", 80, socket.AF_INET)
    ]
