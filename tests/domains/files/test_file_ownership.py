"""Files and their owners."""

import hashlib
import os
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from cloudyard.domains.files import (
    FileDetails,
    FileNotFound,
    FileReconciler,
    Files,
    FileTooLarge,
    ObjectMissing,
    QuotaExceeded,
)
from cloudyard.foundation.errors import InvalidInput
from cloudyard.testing.clock import ManualClock
from cloudyard.testing.files import Left, content_of, stream, upload

MAX_FILE = 3_000_000
QUOTA = 10_000_000


async def test_a_file_goes_in_and_out(files: Files, clock: ManualClock) -> None:
    content = os.urandom(2_500_000)
    record = await files.upload(
        "ann",
        filename="../../etc/données.bin",
        content_type="application/octet-stream",
        chunks=stream(content),
        purpose="dataset",
        description="what it is",
        tags=["a", "b"],
        size_hint=len(content),
    )
    assert record.id.startswith("file-")
    assert (record.user_id, record.filename, record.size) == ("ann", "données.bin", len(content))
    assert record.sha256 == hashlib.sha256(content).hexdigest()
    assert (record.purpose, record.description, record.tags) == ("dataset", "what it is", ("a", "b"))
    assert (record.public, record.created_at, record.expires_at) == (False, clock.now(), None)
    assert await files.get("ann", record.id) == record
    assert await content_of(files, record) == content
    assert await content_of(files, record, 1_000_000, 2_100_001) == content[1_000_000:2_100_001]


async def test_a_file_may_be_empty(files: Files) -> None:
    record = await upload(files, "ann", b"")
    assert record.sha256 == hashlib.sha256(b"").hexdigest()
    assert await content_of(files, record) == b""


async def test_another_user_sees_and_changes_nothing(files: Files) -> None:
    record = await upload(files, "ann", b"secret")
    with pytest.raises(FileNotFound) as foreign:
        await files.get("bob", record.id)
    with pytest.raises(FileNotFound) as unknown:
        await files.get("bob", "file-0")
    assert foreign.value.message.replace(record.id, "") == unknown.value.message.replace("file-0", "")
    with pytest.raises(FileNotFound):
        await files.delete("bob", record.id)
    assert await files.list("bob", limit=10) == ([], 0)
    assert (await files.usage("bob")).bytes == 0
    assert await files.get("ann", record.id) == record


async def test_a_public_file_can_be_read_by_others_and_deleted_by_its_owner_only(files: Files) -> None:
    record = await files.upload("ann", filename="a", content_type=None, chunks=stream(b"for all"), public=True)
    assert await content_of(files, await files.get("bob", record.id)) == b"for all"
    assert await files.list("bob", limit=10) == ([], 0)
    with pytest.raises(FileNotFound):
        await files.delete("bob", record.id)
    await files.delete("ann", record.id)
    with pytest.raises(FileNotFound):
        await files.get("bob", record.id)


@pytest.mark.parametrize("file_id", ["", "file-", "../x", "a\x00b", "\ud800", "x" * 5000, "' OR 1=1 --"])
async def test_what_cannot_be_an_id_is_not_found(files: Files, file_id: str) -> None:
    with pytest.raises(FileNotFound):
        await files.get("ann", file_id)
    with pytest.raises(FileNotFound):
        await files.delete("ann", file_id)


async def test_the_largest_file_fits_and_one_byte_more_does_not(
    files: Files, reconciler: FileReconciler, left: Left
) -> None:
    with pytest.raises(FileTooLarge) as refused:
        await upload(files, "ann", bytes(MAX_FILE + 1))
    assert refused.value.details == {"max_file_bytes": MAX_FILE}
    await reconciler.run()
    assert await left.anything() == (0, 0, 0)
    assert (await upload(files, "ann", bytes(MAX_FILE))).size == MAX_FILE


async def test_a_file_without_end_is_cut_off_at_the_limit(files: Files) -> None:
    given = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal given
        while True:
            given += 65_536
            yield bytes(65_536)

    with pytest.raises(FileTooLarge):
        await files.upload("ann", filename="a", content_type=None, chunks=endless())
    assert given <= MAX_FILE + 65_536


@pytest.mark.parametrize(("size", "error"), [(MAX_FILE + 1, FileTooLarge), (MAX_FILE, QuotaExceeded)])
async def test_a_declared_size_is_refused_before_anything_is_read(
    files: Files, left: Left, size: int, error: type[Exception]
) -> None:
    for _ in range(3):
        await upload(files, "ann", bytes(MAX_FILE))
    before = await left.anything()

    async def untouchable() -> AsyncIterator[bytes]:
        raise AssertionError("it was read")
        yield b""

    with pytest.raises(error):
        await files.upload("ann", filename="a", content_type=None, chunks=untouchable(), size_hint=size)
    assert await left.anything() == before


async def test_deleting_frees_room_at_once_and_the_bytes_soon(
    files: Files, reconciler: FileReconciler, left: Left
) -> None:
    kept = [await upload(files, "ann", bytes(QUOTA // 4)) for _ in range(4)]
    with pytest.raises(QuotaExceeded):
        await upload(files, "ann", b"x")
    await files.delete("ann", kept[0].id)
    with pytest.raises(FileNotFound):
        await files.get("ann", kept[0].id)
    with pytest.raises(FileNotFound):
        await files.delete("ann", kept[0].id)
    assert (await upload(files, "ann", bytes(QUOTA // 4))).size == QUOTA // 4
    await reconciler.run()
    assert await left.anything() == (4, 4, QUOTA)


async def test_usage_is_what_is_kept(files: Files) -> None:
    await upload(files, "ann", bytes(1000))
    record = await upload(files, "ann", bytes(500))
    await files.delete("ann", record.id)
    usage = await files.usage("ann")
    assert (usage.files, usage.bytes, usage.quota_bytes) == (1, 1000, QUOTA)


async def test_a_page_has_the_newest_first_and_the_number_of_all(files: Files) -> None:
    records = [await upload(files, "ann", bytes([n])) for n in range(5)]
    assert await files.list("ann", limit=2) == ([records[4], records[3]], 5)
    assert await files.list("ann", limit=2, offset=4) == ([records[0]], 5)
    assert await files.list("ann", limit=2, offset=9) == ([], 5)


async def test_a_cursor_walks_through_all_files_in_both_orders(files: Files) -> None:
    records = [await upload(files, "ann", bytes([n])) for n in range(5)]
    for newest_first in (True, False):
        expected = records[::-1] if newest_first else records
        walked, after, more = [], None, True
        while more:
            page, more = await files.page("ann", limit=2, after=after, newest_first=newest_first)
            walked += page
            after = page[-1].id
        assert walked == expected


async def test_files_are_found_by_purpose(files: Files) -> None:
    for purpose in ("dataset", "model", "dataset"):
        await files.upload("ann", filename="a", content_type=None, chunks=stream(b"x"), purpose=purpose)
    assert (await files.list("ann", limit=10, purpose="dataset"))[1] == 2
    assert [record.purpose for record in (await files.page("ann", limit=10, purpose="model"))[0]] == ["model"]
    with pytest.raises(InvalidInput):
        await files.list("ann", limit=10, purpose="a\x00b")


async def test_a_file_expires(files: Files, clock: ManualClock, reconciler: FileReconciler, left: Left) -> None:
    record = await files.upload(
        "ann", filename="a", content_type=None, chunks=stream(b"x"), expires_in=timedelta(hours=1)
    )
    assert record.expires_at == clock.now() + timedelta(hours=1)
    await reconciler.run()
    assert await files.get("ann", record.id) == record
    clock.advance(3600)
    with pytest.raises(FileNotFound):
        await files.get("ann", record.id)
    assert await files.list("ann", limit=10) == ([], 0)
    await reconciler.run()
    assert await left.anything() == (0, 0, 0)


@pytest.mark.parametrize(
    "details",
    [
        {"purpose": "x" * 65},
        {"description": "x" * 2001},
        {"description": "a\x00b"},
        {"description": "\ud800"},
        {"tags": ["x"] * 51},
        {"tags": ["x" * 101]},
        {"expires_in": timedelta(0)},
    ],
)
async def test_bad_details_are_refused_before_anything_is_read(
    files: Files, left: Left, details: dict[str, object]
) -> None:
    with pytest.raises(InvalidInput):
        await files.upload("ann", filename="a", content_type=None, chunks=stream(b"x"), **details)
    assert await left.anything() == (0, 0, 0)


async def test_the_longest_details_can_be_kept(files: Files) -> None:
    record = await files.upload(
        "ann",
        filename="\U0001f600" * 300,
        content_type="application/" + "x" * 63,
        chunks=stream(b"\x00\x01"),
        purpose="\U0001f600" * 64,
        description="\U0001f600" * 2000,
        tags=["\U0001f600" * 100] * 50,
    )
    assert await files.get("ann", record.id) == record


async def test_the_type_is_what_the_bytes_are(files: Files) -> None:
    record = await files.upload(
        "ann", filename="a.png", content_type="image/png", chunks=stream(b"<html><script>alert(1)</script>")
    )
    assert record.content_type == "text/html"


async def test_a_received_file_is_nobodys_until_it_is_kept(
    files: Files, reconciler: FileReconciler, left: Left
) -> None:
    staged = await files.receive("ann", filename="a", content_type=None, chunks=stream(b"12345"))
    with pytest.raises(FileNotFound):
        await files.get("ann", staged.id)
    assert (await files.usage("ann")).bytes == 5
    record = await files.keep(staged, FileDetails(purpose="dataset"))
    assert (record.id, record.sha256) == (staged.id, hashlib.sha256(b"12345").hexdigest())
    await files.discard(staged)
    assert await files.get("ann", staged.id) == record
    other = await files.receive("ann", filename="b", content_type=None, chunks=stream(b"67890"))
    await files.discard(other)
    await reconciler.run()
    assert await left.anything() == (1, 1, 5)


async def test_bytes_lost_from_the_store_are_told_before_the_answer_begins(
    files: Files, directory: os.PathLike[str]
) -> None:
    record = await upload(files, "ann", b"content")
    for root, _, names in os.walk(directory):
        for name in names:
            os.unlink(os.path.join(root, name))  # noqa: PTH108, PTH118
    with pytest.raises(ObjectMissing):
        await files.read(record)
