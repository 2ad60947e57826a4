"""PostgreSQL is gone and comes back, under a server that goes on."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import text
from visitor import MOST_TOKENS, error_of, let_holds_expire, visiting

from cloudyard.foundation.database import Database, DatabaseUnavailable
from cloudyard.testing.mortal_server import mortal_server, signed_in
from cloudyard.testing.postgres import PostgresMissing, PostgresServer, own_postgres
from cloudyard.testing.upstream import PIECES, Behaviour, Upstream

CALLS = 4
LONGEST_SECONDS = 60


@pytest.fixture
def postgres() -> Iterator[PostgresServer]:
    try:
        with own_postgres() as server:
            yield server
    except PostgresMissing as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"PostgreSQL is not at hand: {error}")


async def write(database: Database) -> None:
    async with asyncio.timeout(LONGEST_SECONDS), database.transaction() as tx:
        await tx.execute(text("CREATE TEMPORARY TABLE passing (id int) ON COMMIT DROP"))


async def test_what_must_be_written_is_refused_and_made_up_for(
    data_dir: Path, upstream: Upstream, postgres: PostgresServer
) -> None:
    """A whole answer and a stream are under way; the one is not given out, the other was and is charged afterwards."""
    go_on = asyncio.Event()
    upstream.behave(Behaviour(held=go_on), Behaviour(held=go_on, held_after=2), Behaviour())
    async with visiting(data_dir, {"CLOUDYARD_DATABASE__URL": postgres.url}) as visitor:
        whole = asyncio.create_task(visitor.ask())
        await upstream.next_call()
        async with visitor.asking() as stream:
            await stream.events(2)
            await asyncio.to_thread(postgres.stop)
            go_on.set()
            refused = await asyncio.gather(whole, *(visitor.ask() for _ in range(CALLS)))
            for answer in refused:
                error_of(answer, 503, "database_unavailable")
                assert int(answer.headers["retry-after"]) >= 1
            await stream.ends_whole()

            status, problems = await visitor.is_not_ready()
            assert (status, problems.keys()) == (503, {"database"})
            assert (await visitor.client.get("/health")).status_code == 200
        assert len(upstream.calls) == 2

        await asyncio.to_thread(postgres.start)
        await visitor.becomes_ready()
        assert await visitor.has_set_aside(1) == (len(PIECES), MOST_TOKENS)
        await let_holds_expire(postgres.url)
        await visitor.finally_spent(len(PIECES))
        assert (await visitor.ask()).status_code == 200
        assert await visitor.spent() == 2 * len(PIECES)


async def test_one_that_hangs_is_given_up_and_used_again(postgres: PostgresServer) -> None:
    database = Database(postgres.url, pool_size=2, silence_seconds=0.5)
    frozen = ExitStack()
    try:
        await write(database)
        with postgres.frozen(), pytest.raises(DatabaseUnavailable, match=r"it does not answer.*Nothing was changed"):
            await write(database)
        with pytest.raises(DatabaseUnavailable, match=r"it does not answer.*the change may have been made"):
            async with asyncio.timeout(LONGEST_SECONDS), database.transaction() as tx:
                await tx.execute(text("CREATE TEMPORARY TABLE kept (id int)"))
                frozen.enter_context(postgres.frozen())
        frozen.close()
        await write(database)
    finally:
        frozen.close()
        await database.close()


async def test_a_server_without_its_database_stops_well(data_dir: Path, postgres: PostgresServer) -> None:
    environment = {"CLOUDYARD_DATABASE__URL": postgres.url}
    async with mortal_server(data_dir, environment=environment) as server, signed_in(server.url) as client:
        assert (await client.get("/v1/models")).status_code == 200
        await asyncio.to_thread(postgres.stop)
        assert await server.stop() == 0
