"""Objects on local disk: the suite, and what is particular to a disk."""

import asyncio
import os
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from cloudyard.backends.objects import LocalObjects, open_object_store
from cloudyard.domains.files import ObjectMissing, ObjectStoreUnavailable
from cloudyard.foundation.errors import FeatureUnavailable
from cloudyard.foundation.ids import SystemIds
from cloudyard.foundation.places import PlaceUnusable
from cloudyard.testing.object_store_suite import MIB, ObjectStoreSuite, chunks_of, read, sample


def files_below(directory: Path) -> list[str]:
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file())


@pytest.fixture
async def objects(tmp_path: Path) -> AsyncIterator[LocalObjects]:
    store = LocalObjects(tmp_path / "objects", SystemIds())
    yield store
    await store.close()


class TestLocalObjects(ObjectStoreSuite):
    """The conformance suite on local disk."""

    @pytest.fixture(autouse=True)
    async def nothing_else_is_left(self, objects: LocalObjects, tmp_path: Path) -> AsyncIterator[None]:
        """No test may leave a file that is no whole object."""
        yield
        left = files_below(tmp_path / "objects")
        assert [name for name in left if "#" in name or name.startswith("probe")] == []


async def test_only_our_own_user_may_enter(objects: LocalObjects, tmp_path: Path) -> None:
    assert stat.S_IMODE((tmp_path / "objects").stat().st_mode) == 0o700


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PlaceUnusable, match=r"files\.store"):
        LocalObjects(tmp_path / "file" / "objects", SystemIds())


async def test_what_a_killed_process_has_left_goes_with_delete(objects: LocalObjects, tmp_path: Path) -> None:
    child = f"""
import asyncio
from pathlib import Path
from cloudyard.backends.objects import LocalObjects
from cloudyard.foundation.ids import SystemIds

async def stalling():
    for _ in range(64):
        yield bytes(65536)
    print("written", flush=True)
    await asyncio.Event().wait()

asyncio.run(LocalObjects(Path({str(tmp_path / "objects")!r}), SystemIds()).put("a/killed", stalling()))
"""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", child, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    assert await process.stdout.readline() == b"written\n"
    process.kill()
    await process.wait()
    assert files_below(tmp_path / "objects") == ["a/killed#1"]
    assert not await objects.exists("a/killed")
    await objects.delete("a/killed")
    assert files_below(tmp_path / "objects") == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 4 MiB."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"mounting a small file system needs root: {mounted.stderr.decode().strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize("size", [4 * MIB + 1, 12 * MIB])
async def test_a_full_disk_is_told_and_nothing_is_kept(small_disk: Path, size: int) -> None:
    objects = LocalObjects(small_disk / "objects", SystemIds())
    await objects.put("a/fits", chunks_of(sample(MIB)))
    with pytest.raises(ObjectStoreUnavailable, match="No space left on device") as caught:
        await objects.put("a/too-large", chunks_of(sample(size)))
    assert "\n" not in caught.value.message
    assert files_below(small_disk / "objects") == ["a/fits"]
    await objects.put("a/fits-too", chunks_of(sample(MIB)))
    await objects.close()


async def test_ping_finds_a_full_disk_and_one_that_has_room_again(small_disk: Path) -> None:
    objects = LocalObjects(small_disk / "objects", SystemIds())
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
        while True:
            file.write(bytes(4096))
    with pytest.raises(ObjectStoreUnavailable, match="No space left on device"):
        await objects.ping()
    filler.unlink()
    await objects.ping()
    assert files_below(small_disk) == []
    await objects.close()


async def test_ping_finds_a_directory_that_cannot_be_written(objects: LocalObjects, tmp_path: Path) -> None:
    (tmp_path / "objects").rmdir()
    (tmp_path / "objects").write_text("a file where the directory should be")
    with pytest.raises(ObjectStoreUnavailable):
        await objects.ping()


async def test_an_object_cut_short_behind_our_back_is_told(objects: LocalObjects, tmp_path: Path) -> None:
    await objects.put("a/cut", chunks_of(sample(3 * MIB)))
    chunks = await objects.read("a/cut")
    os.truncate(tmp_path / "objects" / "a" / "cut", 3 * MIB - 5)
    with pytest.raises(ObjectMissing, match="shorter"):
        async for _ in chunks:
            pass


async def test_a_slow_source_does_not_hold_up_others(objects: LocalObjects) -> None:
    """More uploads than threads wait for their clients, and one more still gets through."""
    stop = asyncio.Event()

    async def stalling() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield bytes(65536)
        await stop.wait()

    waiting = [asyncio.create_task(objects.put(f"slow/{n}", stalling())) for n in range(40)]
    await objects.put("a/quick", chunks_of(sample(2 * MIB)))
    assert await read(objects, "a/quick") == sample(2 * MIB)
    stop.set()
    assert await asyncio.gather(*waiting) == [20 * 65536] * 40


def test_a_process_may_end_right_after_its_last_operation(tmp_path: Path) -> None:
    child = f"""
import asyncio
from pathlib import Path
from cloudyard.backends.objects import LocalObjects
from cloudyard.foundation.ids import SystemIds

async def chunks(n):
    for _ in range(n):
        yield bytes(65536)

async def main():
    objects = LocalObjects(Path({str(tmp_path / "objects")!r}), SystemIds())
    await objects.put("a/small", chunks(1))
    await objects.put("a/large", chunks(40))
    async for _ in await objects.read("a/large"):
        pass
    await objects.ping()
    await objects.delete("a/small")

asyncio.run(main())
"""
    codes = [subprocess.run([sys.executable, "-c", child], check=False).returncode for _ in range(10)]
    assert codes == [0] * 10


def test_a_store_is_opened_by_its_url(tmp_path: Path) -> None:
    place = tmp_path / "with a blank"
    assert isinstance(open_object_store(place.as_uri(), SystemIds()), LocalObjects)
    assert place.is_dir()


@pytest.mark.parametrize("url", ["", "/srv/objects", "ftp://host/x", "s3://", "file://host/path", "file://"])
def test_any_other_url_is_refused_by_the_name_of_the_setting(url: str) -> None:
    with pytest.raises(FeatureUnavailable, match="CLOUDYARD_FILES__STORE"):
        open_object_store(url, SystemIds())
