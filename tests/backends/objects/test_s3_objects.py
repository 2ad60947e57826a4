"""Objects in a bucket of a real S3 server."""

import asyncio
import gc
import os
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from cloudyard.backends.objects import S3Objects, open_object_store
from cloudyard.backends.objects.obstore_store import PROBE
from cloudyard.backends.objects.s3 import PART_BYTES
from cloudyard.domains.files import ObjectStoreUnavailable
from cloudyard.foundation.ids import SystemIds
from cloudyard.testing.object_store_suite import LARGE, ObjectStoreSuite, chunks_of, sample
from cloudyard.testing.seaweed import ACCESS_KEY, SECRET_KEY, SeaweedMissing, SeaweedServer, seaweed_server
from cloudyard.testing.waiting import eventually

BUCKET = "cloudyard"


@pytest.fixture(scope="module")
def seaweed() -> Iterator[SeaweedServer]:
    try:
        with seaweed_server() as server:
            yield server
    except SeaweedMissing as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"SeaweedFS is not at hand: {error}")


@pytest.fixture
def environment(seaweed: SeaweedServer, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", seaweed.s3_url)
    return monkeypatch


@pytest.fixture
async def objects(environment: pytest.MonkeyPatch) -> AsyncIterator[S3Objects]:
    store = open_object_store(f"s3://{BUCKET}/some/prefix", SystemIds())
    assert isinstance(store, S3Objects)
    yield store
    await store.close()


class TestS3Objects(ObjectStoreSuite):
    """The conformance suite against a bucket."""


@pytest.mark.parametrize("ending", ["failure", "cancellation"])
async def test_an_upload_cut_off_leaves_no_parts(
    environment: pytest.MonkeyPatch, seaweed: SeaweedServer, ending: str
) -> None:
    """Parts of an upload that is neither completed nor aborted cost their owner money.

    It is cut off with no part under way: of one that is, S3 leaves it open whether it outlives the abort.
    """
    bucket = f"cut-off-by-{ending}"
    objects = open_object_store(f"s3://{bucket}", SystemIds())
    arrived = asyncio.Event()

    def wait_for_parts() -> None:
        until = time.monotonic() + 60
        while [len(seaweed.parts(upload)) for upload in seaweed.unfinished_uploads(bucket)] != [LARGE // PART_BYTES]:
            if time.monotonic() > until:
                raise TimeoutError("the parts did not arrive")
            time.sleep(0.05)

    async def cut_off() -> AsyncIterator[bytes]:
        async for chunk in chunks_of(sample(LARGE)):
            yield chunk
        await asyncio.to_thread(wait_for_parts)
        arrived.set()
        if ending == "cancellation":
            await asyncio.Event().wait()
        raise ConnectionResetError("the client left")

    put = asyncio.create_task(objects.put("an/object", cut_off()))
    await asyncio.wait([put, asyncio.create_task(arrived.wait())], return_when=asyncio.FIRST_COMPLETED)
    if ending == "cancellation":
        put.cancel()
    with pytest.raises(asyncio.CancelledError if ending == "cancellation" else ConnectionResetError):
        await put
    assert seaweed.unfinished_uploads(bucket) == []
    await objects.close()


async def test_a_wrong_key_is_told(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    objects = open_object_store(f"s3://{BUCKET}", SystemIds())
    for size in (10, LARGE):
        with pytest.raises(ObjectStoreUnavailable, match="privileges"):
            await objects.put("a/object", chunks_of(sample(size)))
    with pytest.raises(ObjectStoreUnavailable, match="privileges"):
        await objects.ping()
    await objects.close()


async def test_a_server_that_is_not_there_is_told(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    objects = open_object_store(f"s3://{BUCKET}", SystemIds())
    with pytest.raises(ObjectStoreUnavailable, match="try again") as caught:
        await objects.put("a/object", chunks_of(b"x"))
    assert "127.0.0.1" in str(caught.value) and "127.0.0.1" not in caught.value.message
    with pytest.raises(ObjectStoreUnavailable):
        await objects.ping()
    await objects.close()


async def test_a_probe_that_fails_after_its_asker_left_is_not_reported_as_a_bug(
    environment: pytest.MonkeyPatch,
) -> None:
    connections: list[asyncio.StreamWriter] = []
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: reported.append(context))

    async def silent(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        environment.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        objects = open_object_store(f"s3://{BUCKET}", SystemIds())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await objects.ping()
        await eventually(probes, lambda found: found == 1 and len(connections) > 0)
    for connection in connections:
        connection.close()
    await eventually(probes, lambda found: found == 0)
    with pytest.raises(ObjectStoreUnavailable):
        await objects.ping()
    await objects.close()
    gc.collect()
    assert reported == []


async def probes() -> int:
    """How many probes run."""
    return sum(task.get_name() == PROBE for task in asyncio.all_tasks())


async def test_ping_does_not_wait_for_a_server_that_never_answers(environment: pytest.MonkeyPatch) -> None:
    connections: list[asyncio.StreamWriter] = []

    async def silent(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        environment.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        objects = open_object_store(f"s3://{BUCKET}", SystemIds())
        with pytest.raises(ObjectStoreUnavailable, match="no answer within 5 seconds"):
            await objects.ping()
    for connection in connections:
        connection.close()
    await objects.close()
