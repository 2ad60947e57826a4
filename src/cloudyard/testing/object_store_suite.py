"""What every object store must do. A test class inherits this and gives the fixture `objects`."""

import asyncio
import hashlib
from collections.abc import AsyncIterator

import pytest

from cloudyard.domains.files import ObjectMissing, ObjectStore

MIB = 1024 * 1024
CHUNK = 64 * 1024
LARGE = 20 * MIB + 12_345


class ObjectStoreSuite:
    """Conformance of an `ObjectStore`."""

    @pytest.mark.parametrize("size", [0, 1, CHUNK, MIB, MIB + 1, 8 * MIB, LARGE])
    async def test_gives_back_what_was_put(self, objects: ObjectStore, size: int) -> None:
        content = sample(size)
        assert await objects.put("a/object", chunks_of(content)) == size
        assert await objects.exists("a/object")
        assert await read(objects, "a/object") == content

    @pytest.mark.parametrize(
        ("start", "end"), [(0, 1), (5, 5), (MIB - 1, MIB + 1), (2 * MIB, None), (0, 99 * MIB), (3 * MIB, 4 * MIB)]
    )
    async def test_reads_a_range(self, objects: ObjectStore, start: int, end: int | None) -> None:
        content = sample(3 * MIB)
        await objects.put("a/range", chunks_of(content))
        assert await read(objects, "a/range", start, end) == content[start:end]

    async def test_a_put_replaces_the_whole_object(self, objects: ObjectStore) -> None:
        await objects.put("a/twice", chunks_of(sample(2 * MIB)))
        await objects.put("a/twice", chunks_of(b"short"))
        assert await read(objects, "a/twice") == b"short"

    async def test_a_missing_object_is_told_before_the_first_byte(self, objects: ObjectStore) -> None:
        assert not await objects.exists("a/missing")
        with pytest.raises(ObjectMissing):
            await objects.read("a/missing")

    async def test_an_object_that_goes_while_it_is_read_is_no_shorter_object(self, objects: ObjectStore) -> None:
        await objects.put("a/going", chunks_of(sample(4 * MIB)))
        chunks = await objects.read("a/going")
        await anext(chunks)
        await objects.delete("a/going")
        with pytest.raises(ObjectMissing):
            async for _ in chunks:
                pass

    async def test_delete_is_repeatable(self, objects: ObjectStore) -> None:
        await objects.put("a/deleted", chunks_of(b"x"))
        await objects.delete("a/deleted")
        await objects.delete("a/deleted")
        assert not await objects.exists("a/deleted")

    async def test_nothing_is_there_until_all_of_it_is(self, objects: ObjectStore) -> None:
        seen = []

        async def watched() -> AsyncIterator[bytes]:
            for chunk in slices(sample(10 * MIB)):
                yield chunk
                seen.append(await objects.exists("a/growing"))

        await objects.put("a/growing", watched())
        assert set(seen) == {False}
        assert await objects.exists("a/growing")

    @pytest.mark.parametrize("size", [0, CHUNK, LARGE])
    async def test_an_error_of_the_source_comes_out_unchanged_and_nothing_is_kept(
        self, objects: ObjectStore, size: int
    ) -> None:
        failure = OSError("the source broke")

        async def failing() -> AsyncIterator[bytes]:
            for chunk in slices(sample(size)):
                yield chunk
            raise failure

        with pytest.raises(OSError, match="the source broke") as caught:
            await objects.put("a/failing", failing())
        assert caught.value is failure
        assert not await objects.exists("a/failing")

    @pytest.mark.parametrize("size", [0, CHUNK, LARGE])
    async def test_a_cancelled_put_keeps_nothing(self, objects: ObjectStore, size: int) -> None:
        waiting = asyncio.Event()

        async def stalling() -> AsyncIterator[bytes]:
            for chunk in slices(sample(size)):
                yield chunk
            waiting.set()
            await asyncio.Event().wait()

        put = asyncio.create_task(objects.put("a/cancelled", stalling()))
        await waiting.wait()
        put.cancel()
        with pytest.raises(asyncio.CancelledError):
            await put
        assert not await objects.exists("a/cancelled")

    async def test_a_put_cancelled_at_any_moment_leaves_all_or_nothing(self, objects: ObjectStore) -> None:
        content = sample(3 * MIB)
        for turns in range(0, 120, 7):
            put = asyncio.create_task(objects.put("a/race", chunks_of(content)))
            for _ in range(turns):
                await asyncio.sleep(0)
            put.cancel()
            done, _ = await asyncio.wait([put])
            if done.pop().cancelled():
                assert not await objects.exists("a/race")
            else:
                assert await read(objects, "a/race") == content
                await objects.delete("a/race")

    async def test_objects_go_in_and_out_in_parallel(self, objects: ObjectStore) -> None:
        contents = {f"parallel/{n}": sample(n * 300_000, seed=n) for n in range(10)}
        await asyncio.gather(*(objects.put(key, chunks_of(content)) for key, content in contents.items()))
        found = await asyncio.gather(*(read(objects, key) for key in contents))
        assert dict(zip(contents, found, strict=True)) == contents

    async def test_ping_leaves_nothing_behind(self, objects: ObjectStore) -> None:
        await asyncio.gather(objects.ping(), objects.ping())
        await objects.ping()

    @pytest.mark.parametrize("key", ["", "/a", "a//b", "../a", "a/../b", "a/.", "A", "a b", "a#1", "a\x00", "ä"])
    async def test_a_key_that_could_lead_elsewhere_is_refused(self, objects: ObjectStore, key: str) -> None:
        with pytest.raises(ValueError, match="no key"):
            await objects.put(key, chunks_of(b"x"))
        with pytest.raises(ValueError, match="no key"):
            await objects.read(key)


def sample(size: int, *, seed: int = 0) -> bytes:
    """Bytes of which no two blocks are alike."""
    blocks = -(-size // 32)
    return b"".join(hashlib.sha256(f"{seed}:{n}".encode()).digest() for n in range(blocks))[:size]


def slices(content: bytes, size: int = CHUNK) -> list[bytes]:
    """The content in pieces, as a network gives it."""
    return [content[at : at + size] for at in range(0, len(content), size)]


async def chunks_of(content: bytes, size: int = CHUNK) -> AsyncIterator[bytes]:
    """The content as a stream."""
    for chunk in slices(content, size):
        yield chunk


async def read(objects: ObjectStore, key: str, start: int = 0, end: int | None = None) -> bytes:
    """All of what a read gives."""
    return b"".join([chunk async for chunk in await objects.read(key, start=start, end=end)])
