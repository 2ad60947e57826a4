"""What local disk and S3 have in common: the port `ObjectStore` on obstore.

Short operations run through obstore's synchronous calls on threads of our own. Its asynchronous calls return
before their worker thread has let go of the interpreter, and a process that ends in that moment is aborted
(17 of 60 tries with obstore 0.12); so only long uploads use them, which something else always follows.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, S3Store

from cloudyard.domains.files import ObjectMissing, ObjectStoreUnavailable
from cloudyard.foundation.ids import Ids

T = TypeVar("T")

KEY = re.compile(r"[a-z0-9][a-z0-9._-]*(/[a-z0-9][a-z0-9._-]*)*")
THREADS = 16
READ_BYTES = 1024 * 1024
PING_SECONDS = 5.0
PROBE = "object store probe"
RETRY_SECONDS = 5.0


class ObstoreObjects:
    """Objects in an obstore store. `part_bytes` is what an upload keeps in memory, `parallel_parts` times."""

    def __init__(self, store: LocalStore | S3Store, ids: Ids, *, part_bytes: int, parallel_parts: int) -> None:
        self._store = store
        self._ids = ids
        self._part_bytes = part_bytes
        self._parallel_parts = parallel_parts
        self._threads = ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="objects")
        self._probe: asyncio.Task[None] | None = None

    async def put(self, key: str, chunks: AsyncIterator[bytes]) -> int:
        """Store what `chunks` yields; see `ObjectStore.put`."""
        _check(key)
        first, ended = await _first_block(chunks, self._part_bytes)
        try:
            size = await (self._put_whole(key, first) if ended else self._put_parts(key, first, chunks))
            with _missing_is_unavailable():
                await self._to_the_end(lambda: self._make_durable(key))
        except BaseException:
            with suppress(ObjectStoreUnavailable):  # the first failure is the one to tell
                await self.delete(key)
            raise
        return size

    async def read(self, key: str, *, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The bytes from `start` up to `end`; see `ObjectStore.read`."""
        _check(key)
        with _missing_is_told(key):
            meta = await self._thread(lambda: obstore.head(self._store, key))
        size = meta["size"]
        return self._blocks(key, start, size if end is None else min(end, size))

    async def delete(self, key: str) -> None:
        """Remove an object and what is left of a killed upload."""
        _check(key)
        await self._to_the_end(lambda: self._remove(key))

    async def exists(self, key: str) -> bool:
        """Whether there is such an object."""
        _check(key)
        try:
            await self._thread(lambda: obstore.head(self._store, key))
        except FileNotFoundError:
            return False
        return True

    async def ping(self) -> None:
        """Write, read and delete a small object; callers at the same time share one. Takes 5 seconds at most."""
        if self._probe is None or self._probe.done():
            self._probe = asyncio.create_task(self._write_and_read(), name=PROBE)
            self._probe.add_done_callback(_overlook)  # whoever asked may have given up by then
        done, _ = await asyncio.wait([self._probe], timeout=PING_SECONDS)
        if not done:
            raise _unavailable(f"no answer within {PING_SECONDS:g} seconds")
        self._probe.result()

    async def close(self) -> None:
        """End the threads, after what they are doing."""
        if self._probe is not None:
            self._probe.cancel()
            await _ended(self._probe)
        await asyncio.to_thread(self._threads.shutdown)

    def _make_durable(self, key: str) -> None:
        """Flush a new object to disk, where the store does not do it by itself."""

    def _remove_leftovers(self, key: str) -> None:
        """Remove what a killed upload has left."""

    def _remove(self, key: str) -> None:
        self._remove_leftovers(key)
        try:
            obstore.delete(self._store, key)
        except FileNotFoundError:
            return

    async def _put_whole(self, key: str, content: bytes) -> int:
        with _missing_is_unavailable():
            await self._to_the_end(lambda: obstore.put(self._store, key, content, use_multipart=False))
        return len(content)

    async def _put_parts(self, key: str, first: bytes, chunks: AsyncIterator[bytes]) -> int:
        source = _Source(first, chunks)
        storing = asyncio.ensure_future(
            obstore.put_async(
                self._store,
                key,
                source,
                use_multipart=True,
                chunk_size=self._part_bytes,
                max_concurrency=self._parallel_parts,
            )
        )
        try:
            with _translated(), _missing_is_unavailable():
                await asyncio.shield(storing)
        except asyncio.CancelledError:
            source.abort()
            await _ended(storing)
            raise
        except Exception:
            if source.failure is not None:
                raise source.failure from None
            raise
        return source.size

    async def _blocks(self, key: str, start: int, end: int) -> AsyncIterator[bytes]:
        """One request a block, so that a slow reader holds neither a connection nor a file open."""
        while start < end:
            stop = min(start + READ_BYTES, end)
            block = await self._block(key, start, stop)
            if len(block) < stop - start:
                raise ObjectMissing(f"The object {key} is shorter than it was when it was opened. Restore it.")
            yield block
            start = stop

    async def _block(self, key: str, start: int, stop: int) -> bytes:
        with _missing_is_told(key):
            return bytes(await self._thread(lambda: obstore.get_range(self._store, key, start=start, end=stop)))

    async def _write_and_read(self) -> None:
        key, content = f"probe/{self._ids.new()}", self._ids.hex().encode()
        await self._put_whole(key, content)
        found = await self._block(key, 0, len(content))
        await self.delete(key)
        if found != content:
            raise _unavailable("it gave back other bytes than were written")

    async def _thread(self, work: Callable[[], T]) -> T:
        """Run blocking work on a thread."""
        with _translated():
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def _to_the_end(self, work: Callable[[], T]) -> T:
        """Run blocking work on a thread, and wait for its end even when cancelled: no change comes later."""
        job = asyncio.ensure_future(self._thread(work))
        try:
            return await asyncio.shield(job)
        except asyncio.CancelledError:
            await _ended(job)
            raise


class _Source:
    """The blocks of an upload, which can be made to fail: obstore cleans up after a failure, not a cancellation."""

    def __init__(self, first: bytes, chunks: AsyncIterator[bytes]) -> None:
        self.size = 0
        self.failure: BaseException | None = None
        self._first: bytes | None = first
        self._chunks = chunks
        self._step: asyncio.Future[bytes] | None = None

    def abort(self) -> None:
        """Fail the step that is waited for, and every later one."""
        self.failure = _Aborted()
        if self._step is not None:
            self._step.cancel()

    def __aiter__(self) -> "_Source":
        return self

    async def __anext__(self) -> bytes:
        if self.failure is not None:
            raise self.failure
        if self._first is not None:
            chunk, self._first = self._first, None
        else:
            chunk = await self._next()
        self.size += len(chunk)
        return chunk

    async def _next(self) -> bytes:
        self._step = asyncio.ensure_future(anext(self._chunks))
        try:
            return await self._step
        except StopAsyncIteration:
            raise
        except asyncio.CancelledError as error:
            self.failure = _Aborted()
            raise self.failure from error
        except Exception as error:
            self.failure = error
            raise


class _Aborted(Exception):
    """The task that uploads was cancelled."""


async def _ended(work: asyncio.Future[Any]) -> None:
    """Wait until it has, whatever its outcome is."""
    await asyncio.wait([work])
    _overlook(work)


def _overlook(work: asyncio.Future[Any]) -> None:
    """Ask for the failure of what has ended, so that asyncio does not report that nobody did."""
    if not work.cancelled():
        work.exception()


async def _first_block(chunks: AsyncIterator[bytes], size: int) -> tuple[bytes, bool]:
    """At least `size` bytes, or fewer and True where that is all."""
    block = bytearray()
    async for chunk in chunks:
        block += chunk
        if len(block) >= size:
            return bytes(block), False
    return bytes(block), True


def _check(key: str) -> None:
    if not KEY.fullmatch(key):
        raise ValueError(f"{key!r} is no key of an object")


@contextmanager
def _translated() -> Iterator[None]:
    """Turn the store's failures into `ObjectStoreUnavailable`; a missing object stays FileNotFoundError."""
    try:
        yield
    except FileNotFoundError:
        raise
    except (BaseError, OSError) as error:
        raise _unavailable(str(error).partition("\n")[0]) from error


@contextmanager
def _missing_is_told(key: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise ObjectMissing(f"The object {key} is not in the store, where it should be. Restore it.") from error


@contextmanager
def _missing_is_unavailable() -> Iterator[None]:
    """While writing, what is missing is the bucket or the directory."""
    try:
        yield
    except FileNotFoundError as error:
        raise _unavailable(str(error).partition("\n")[0]) from error


def _unavailable(reason: str) -> ObjectStoreUnavailable:
    return ObjectStoreUnavailable(
        "Files cannot be stored or read at the moment. Nothing was kept; try again shortly.",
        retry_after=RETRY_SECONDS,
        for_operators=reason,
    )
