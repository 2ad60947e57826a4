"""Whatever cuts an upload off, no object, no row and no counted byte is left over."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from cloudyard.backends.objects import LocalObjects
from cloudyard.domains.files import (
    FileReconciler,
    Files,
    ObjectStoreUnavailable,
    QuotaExceeded,
    UploadLapsed,
)
from cloudyard.domains.files.repository import LEASE
from cloudyard.foundation.clock import SystemClock
from cloudyard.foundation.database import Database
from cloudyard.foundation.ids import SystemIds
from cloudyard.foundation.settings.files import FileSettings
from cloudyard.testing.clock import ManualClock
from cloudyard.testing.files import Left, content_of, stream, upload

QUOTA = 10_000_000
LAPSE = LEASE.total_seconds() + 1
NOTHING = (0, 0, 0)

UPLOADING_CHILD = """
import asyncio, sys
from pathlib import Path
from cloudyard.backends.objects import LocalObjects
from cloudyard.domains.files import Files
from cloudyard.foundation.clock import SystemClock
from cloudyard.foundation.database import Database
from cloudyard.foundation.ids import SystemIds
from cloudyard.foundation.settings.files import FileSettings

async def body(size, whole):
    for _ in range(size // 65536):
        yield bytes(65536)
    if not whole:
        print("uploading", flush=True)
        await asyncio.Event().wait()

async def main(url, directory, size, whole):
    ids = SystemIds()
    files = Files(Database(url), SystemClock(), ids, LocalObjects(Path(directory), ids), FileSettings())
    await files.upload("ann", filename="a", content_type=None, chunks=body(int(size), whole == "whole"))

asyncio.run(main(*sys.argv[1:]))
"""


async def child(url: str, directory: Path, size: int, whole: str, crash_at: str = "") -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", UPLOADING_CHILD, url, str(directory), str(size), whole,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "CLOUDYARD_CRASH_AT": crash_at},
    )  # fmt: skip


def later_reconciler(database: Database, objects: LocalObjects) -> FileReconciler:
    """One that runs when the leases of a process on the machine's own clock have lapsed."""
    clock = ManualClock(SystemClock().now())
    clock.advance(LAPSE)
    return FileReconciler(database, clock, objects)


@pytest.mark.parametrize("size", [65_536, 3 * 1024 * 1024, 20 * 1024 * 1024])
async def test_kill_in_mid_upload(
    database: Database, database_url: str, directory: Path, objects: LocalObjects, left: Left, size: int
) -> None:
    process = await child(database_url, directory, size, "part")
    assert process.stdout is not None
    assert await process.stdout.readline() == b"uploading\n"
    process.kill()
    await process.wait()
    reconciler = FileReconciler(database, SystemClock(), objects)
    before = await left.anything()
    assert await reconciler.run() == 0, "the lease of the killed process has not lapsed yet"
    assert await left.anything() == before
    await later_reconciler(database, objects).run()
    assert await left.anything() == NOTHING


async def test_kill_between_the_object_and_its_row(
    database: Database, database_url: str, directory: Path, objects: LocalObjects, left: Left
) -> None:
    process = await child(database_url, directory, 2 * 1024 * 1024, "whole", crash_at="files.received")
    assert await process.wait() == -9
    assert await left.anything() == (1, 1, 2 * 1024 * 1024)
    await later_reconciler(database, objects).run()
    assert await left.anything() == NOTHING


@pytest.mark.parametrize("size", [0, 1000, 2_000_000])
async def test_a_source_that_fails(files: Files, reconciler: FileReconciler, left: Left, size: int) -> None:
    failure = ConnectionResetError("the client left")

    async def broken() -> AsyncIterator[bytes]:
        async for chunk in stream(bytes(size)):
            yield chunk
        raise failure

    with pytest.raises(ConnectionResetError) as caught:
        await files.upload("ann", filename="a", content_type=None, chunks=broken())
    assert caught.value is failure
    assert (await files.usage("ann")).bytes == 0
    await reconciler.run()
    assert await left.anything() == NOTHING


@pytest.mark.parametrize("size", [0, 1000, 2_000_000])
async def test_a_client_that_leaves(files: Files, reconciler: FileReconciler, left: Left, size: int) -> None:
    waiting = asyncio.Event()

    async def stalling() -> AsyncIterator[bytes]:
        async for chunk in stream(bytes(size)):
            yield chunk
        waiting.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(files.upload("ann", filename="a", content_type=None, chunks=stalling()))
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await files.usage("ann")).bytes == 0
    await reconciler.run()
    assert await left.anything() == NOTHING


async def test_an_upload_that_stands_still_is_given_up(
    files: Files, clock: ManualClock, reconciler: FileReconciler, left: Left
) -> None:
    async def sleeping() -> AsyncIterator[bytes]:
        yield bytes(1_000_000)
        clock.advance(LAPSE)
        assert await reconciler.run() == 1
        yield bytes(1_000_000)

    with pytest.raises(UploadLapsed):
        await files.upload("ann", filename="a", content_type=None, chunks=sleeping())
    await reconciler.run()
    assert await left.anything() == NOTHING


async def test_a_slow_upload_keeps_its_lease(files: Files, clock: ManualClock, reconciler: FileReconciler) -> None:
    async def slow() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield bytes(50_000)
            clock.advance(LAPSE / 3)
            assert await reconciler.run() == 0

    record = await files.upload("ann", filename="a", content_type=None, chunks=slow())
    assert record.size == 1_000_000


async def test_a_received_file_lapses(files: Files, clock: ManualClock, reconciler: FileReconciler, left: Left) -> None:
    staged = await files.receive("ann", filename="a", content_type=None, chunks=stream(b"12345"))
    clock.advance(LAPSE)
    await reconciler.run()
    assert await left.anything() == NOTHING
    with pytest.raises(UploadLapsed):
        await files.keep(staged)


async def test_parallel_uploads_fill_the_quota_exactly(files: Files, reconciler: FileReconciler, left: Left) -> None:
    size = QUOTA // 10
    outcomes = await asyncio.gather(
        *(upload(files, "ann", os.urandom(size)) for _ in range(25)), return_exceptions=True
    )
    refused = [outcome for outcome in outcomes if isinstance(outcome, QuotaExceeded)]
    kept = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
    assert len(refused) + len(kept) == 25
    assert 1 <= len(kept) <= 10
    assert (await files.usage("ann")).bytes == len(kept) * size
    for record in kept:
        assert len(await content_of(files, record)) == size
    for _ in range(10 - len(kept)):
        await upload(files, "ann", bytes(size))
    with pytest.raises(QuotaExceeded):
        await upload(files, "ann", b"x")
    await reconciler.run()
    assert await left.anything() == (10, 10, QUOTA)


async def test_parallel_uploads_that_fit_together_are_all_kept(files: Files) -> None:
    """Room that others have reserved but do not need must not refuse anyone."""
    size = QUOTA // 10
    await asyncio.gather(*(upload(files, "ann", bytes(size)) for _ in range(10)))
    assert (await files.usage("ann")).bytes == QUOTA


async def test_parallel_small_uploads_fill_the_last_byte(files: Files) -> None:
    await upload(files, "ann", bytes(QUOTA // 4 - 5))
    for _ in range(3):
        await upload(files, "ann", bytes(QUOTA // 4))
    outcomes = await asyncio.gather(*(upload(files, "ann", b"x") for _ in range(20)), return_exceptions=True)
    assert sum(not isinstance(outcome, BaseException) for outcome in outcomes) == 5
    assert (await files.usage("ann")).bytes == QUOTA


async def test_deleting_in_parallel_frees_room_once(files: Files) -> None:
    record = await upload(files, "ann", bytes(1000))
    await upload(files, "ann", bytes(500))
    outcomes = await asyncio.gather(*(files.delete("ann", record.id) for _ in range(10)), return_exceptions=True)
    assert outcomes.count(None) == 1
    assert (await files.usage("ann")).bytes == 500


class OutOfReach:
    """An object store that can be unplugged."""

    def __init__(self, objects: LocalObjects) -> None:
        self._objects = objects
        self.unplugged = True

    async def put(self, key: str, chunks: AsyncIterator[bytes]) -> int:
        return await self._objects.put(key, chunks)

    async def read(self, key: str, *, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        return await self._objects.read(key, start=start, end=end)

    async def delete(self, key: str) -> None:
        if self.unplugged:
            raise ObjectStoreUnavailable("unplugged")
        await self._objects.delete(key)

    async def exists(self, key: str) -> bool:
        return await self._objects.exists(key)

    async def ping(self) -> None:
        await self._objects.ping()


async def test_an_object_that_cannot_be_removed_now_is_removed_later(
    files: Files, database: Database, clock: ManualClock, objects: LocalObjects, left: Left
) -> None:
    store = OutOfReach(objects)
    reconciler = FileReconciler(database, clock, store)
    record = await upload(files, "ann", b"12345")
    await files.delete("ann", record.id)
    assert await reconciler.run() == 1
    assert await reconciler.run() == 0
    assert await left.anything() == (1, 1, 0)
    store.unplugged = False
    clock.advance(10)
    await reconciler.run()
    assert await left.anything() == NOTHING


async def test_an_upload_given_up_stays_so_while_its_object_cannot_be_removed(
    files: Files, database: Database, clock: ManualClock, objects: LocalObjects, left: Left
) -> None:
    store = OutOfReach(objects)
    staged = await files.receive("ann", filename="a", content_type=None, chunks=stream(b"12345"))
    clock.advance(LAPSE)
    assert await FileReconciler(database, clock, store).run() == 1
    with pytest.raises(UploadLapsed):
        await files.keep(staged)
    await files.discard(staged)
    store.unplugged = False
    clock.advance(10)
    await FileReconciler(database, clock, store).run()
    assert await left.anything() == NOTHING


async def test_two_reconcilers_remove_each_file_once(
    files: Files, database: Database, clock: ManualClock, objects: LocalObjects, left: Left
) -> None:
    for number in range(30):
        await files.delete("ann", (await upload(files, "ann", bytes([number]))).id)
    await upload(files, "ann", b"kept")
    tried = await asyncio.gather(*(FileReconciler(database, clock, objects).run() for _ in range(3)))
    assert sum(tried) == 30
    assert await left.anything() == (1, 1, 4)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 2 MiB."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"mounting a small file system needs root: {mounted.stderr.decode().strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


async def test_a_full_disk(database: Database, clock: ManualClock, small_disk: Path, settings: FileSettings) -> None:
    objects = LocalObjects(small_disk / "objects", SystemIds())
    files = Files(database, clock, SystemIds(), objects, settings)
    kept = await upload(files, "ann", os.urandom(1_000_000))
    with pytest.raises(ObjectStoreUnavailable, match="No space left"):
        await upload(files, "ann", os.urandom(2_500_000))
    assert (await files.usage("ann")).bytes == 1_000_000
    assert len(await content_of(files, kept)) == 1_000_000
    await files.delete("ann", kept.id)
    await FileReconciler(database, clock, objects).run()
    assert await Left(database, small_disk).anything() == NOTHING
    await upload(files, "ann", os.urandom(1_500_000))
    await objects.close()
