"""What files need from outside: somewhere to keep bytes."""

from collections.abc import AsyncIterator
from typing import Protocol

from cloudyard.foundation.errors import DomainError, ErrorKind


class ObjectStoreUnavailable(DomainError):
    """The object store cannot be reached, refuses us, or is full. Nothing was kept."""

    code = "object_store_unavailable"
    kind = ErrorKind.UNAVAILABLE


class ObjectMissing(DomainError):
    """An object that should be there is not, or is shorter than it should be."""

    code = "object_missing"
    kind = ErrorKind.INTERNAL


class ObjectStore(Protocol):
    """Keeps immutable objects under keys of the characters `a-z 0-9 - _ . /`.

    Every method raises `ObjectStoreUnavailable` when the store cannot do its work.
    """

    async def put(self, key: str, chunks: AsyncIterator[bytes]) -> int:
        """Store what `chunks` yields and return its size in bytes, once it is durable.

        Nobody sees a part of an object. An error that `chunks` raises comes out unchanged, and then, as after
        a cancellation, nothing is kept.
        """
        ...

    async def read(self, key: str, *, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The bytes from `start` up to and not including `end`, which is cut to the object's size.

        Raises `ObjectMissing`, at once if the object is not there.
        """
        ...

    async def delete(self, key: str) -> None:
        """Remove an object and whatever a killed `put` of that key has left; a missing one is no error."""
        ...

    async def exists(self, key: str) -> bool:
        """Whether there is such an object."""
        ...

    async def ping(self) -> None:
        """Prove that the store can be written, read and deleted from."""
        ...
