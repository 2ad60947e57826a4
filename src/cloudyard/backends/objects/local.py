"""Objects as files below a directory of this machine."""

import os
from itertools import count
from pathlib import Path

from obstore.store import LocalStore

from cloudyard.backends.objects.obstore_store import ObstoreObjects
from cloudyard.foundation.ids import Ids
from cloudyard.foundation.places import needed

PART_BYTES = 1024 * 1024


class LocalObjects(ObstoreObjects):
    """A directory that only our own user may enter. An object appears whole, by a rename, and is on disk by then."""

    def __init__(self, directory: Path, ids: Ids) -> None:
        """Raises `PlaceUnusable`."""
        with needed(directory, named_by="files.store"):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        super().__init__(LocalStore(directory), ids, part_bytes=PART_BYTES, parallel_parts=1)
        self._directory = directory

    def _make_durable(self, key: str) -> None:
        """obstore leaves it to the kernel when a file and its directory reach the disk."""
        path = self._directory / key
        _flush(path)
        for parent in path.relative_to(self._directory).parents:
            _flush(self._directory / parent)

    def _remove_leftovers(self, key: str) -> None:
        """obstore writes to `name#1`, `name#2`, ... before it renames; a killed process leaves that file."""
        for number in count(1):
            try:
                (self._directory / f"{key}#{number}").unlink()
            except FileNotFoundError:
                return


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
