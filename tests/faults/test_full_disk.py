"""The disk with the data is full: what must be written is refused, what is there is served, room is enough to go on."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from visitor import MOST_TOKENS, Visitor, error_of, visiting, write_settings

from cloudyard.testing.small_disk import NoSmallDisk, SmallDisk, small_disk
from cloudyard.testing.upstream import PIECES, Behaviour, Upstream

MEBIBYTES = 16
AT_ONCE = 4
MOST_ROUNDS = 25


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    folder = tmp_path / "small"
    folder.mkdir()
    try:
        with small_disk(folder, MEBIBYTES) as disk:
            yield disk
    except NoSmallDisk as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(error))


async def until_refused(visitor: Visitor) -> int:
    """Fill what room the files still have inside; how many calls were served meanwhile."""
    served = 0
    for _ in range(MOST_ROUNDS):
        answers = await asyncio.gather(*(visitor.ask() for _ in range(AT_ONCE)))
        served += sum(answer.status_code == 200 for answer in answers)
        for answer in answers:
            if answer.status_code != 200:
                assert "Nothing was changed" in error_of(answer, 503, "database_unavailable")
                assert int(answer.headers["retry-after"]) >= 1
        if all(answer.status_code != 200 for answer in answers):
            return served
    raise AssertionError("the disk is not full")


async def test_what_must_be_written_is_refused_until_there_is_room(disk: SmallDisk, upstream: Upstream) -> None:
    """Database, files and the server's log lie on it. A stream under way is charged afterwards."""
    data_dir = disk.folder / "data"
    write_settings(data_dir, {"upstream": upstream.base_url})
    go_on = asyncio.Event()
    upstream.behave(Behaviour(held=go_on, held_after=2), Behaviour())
    async with visiting(data_dir) as visitor:
        async with visitor.asking() as stream:
            await stream.events(2)
            disk.fill()
            served = await until_refused(visitor)
            go_on.set()
            await stream.ends_whole()

        status, problems = await visitor.is_not_ready()
        assert (status, problems.keys()) == (503, {"database", "storage"})
        assert (await visitor.client.get("/v1/models")).status_code == 200
        assert await visitor.has_set_aside(1) == (served * len(PIECES), MOST_TOKENS)

        disk.free()
        await visitor.becomes_ready()
        await visitor.finally_spent((served + 1) * len(PIECES))
        assert (await visitor.ask()).status_code == 200
        assert await visitor.spent() == (served + 2) * len(PIECES)
