"""Files and folders of this machine that Cloudyard cannot do without."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cloudyard.foundation.errors import DomainError, ErrorKind


class PlaceUnusable(DomainError):
    """A file or folder of this machine cannot be made, read or written."""

    code = "place_unusable"
    kind = ErrorKind.UNAVAILABLE


@contextmanager
def needed(place: Path, *, named_by: str) -> Iterator[None]:
    """Turn what the system refuses about a file or folder into `PlaceUnusable`; `named_by` is what else chooses it."""
    try:
        yield
    except OSError as error:
        raise PlaceUnusable(
            f"{place.absolute()} cannot be used ({error.strerror or error}). Let the user that runs Cloudyard "
            f"read and write it, or choose another place with {named_by}."
        ) from error
