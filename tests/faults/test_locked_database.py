"""Another process has the database file to itself for longer than a writer waits."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from visitor import MOST_TOKENS, error_of, visiting

from cloudyard.testing.upstream import PIECES, Behaviour, Upstream

CALLS = 4


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Have the file alone, as a backup or a careless shell does; the server is another process."""
    with closing(sqlite3.connect(file, isolation_level=None, timeout=30)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


async def test_what_must_be_written_is_refused_and_made_up_for(data_dir: Path, upstream: Upstream) -> None:
    """A stream is under way, which is charged afterwards."""
    go_on = asyncio.Event()
    upstream.behave(Behaviour(held=go_on, held_after=2), Behaviour())
    async with visiting(data_dir) as visitor:
        async with visitor.asking() as stream:
            await stream.events(2)
            with locked(data_dir / "cloudyard.db"):
                go_on.set()
                for answer in await asyncio.gather(*(visitor.ask() for _ in range(CALLS))):
                    message = error_of(answer, 503, "database_unavailable")
                    assert "locked" in message and "Nothing was changed" in message
                    assert int(answer.headers["retry-after"]) >= 1
                await stream.ends_whole()

                status, problems = await visitor.is_not_ready()
                assert (status, problems.keys()) == (503, {"database"})
                assert await visitor.has_set_aside(1) == (0, MOST_TOKENS)
                assert (await visitor.client.get("/v1/models")).status_code == 200
                assert (await visitor.client.get("/health")).status_code == 200
        assert len(upstream.calls) == 1

        await visitor.becomes_ready()
        await visitor.finally_spent(len(PIECES))
        assert (await visitor.ask()).status_code == 200
        assert await visitor.spent() == 2 * len(PIECES)


async def test_a_repetition_of_what_is_charged_afterwards_is_not_charged_again(
    data_dir: Path, upstream: Upstream
) -> None:
    go_on = asyncio.Event()
    upstream.behave(Behaviour(held=go_on, held_after=2), Behaviour())
    async with visiting(data_dir) as visitor:
        visitor.client.headers["Idempotency-Key"] = "once"
        async with visitor.asking() as stream:
            first = await stream.events(2)
            with locked(data_dir / "cloudyard.db"):
                go_on.set()
                first += await stream.events()
        await visitor.finally_spent(len(PIECES))
        async with visitor.asking() as repeated:
            assert await repeated.events() == first
        assert (stream.ended, repeated.ended, len(upstream.calls)) == (True, True, 1)
        assert await visitor.spent() == len(PIECES)
