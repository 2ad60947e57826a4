"""Is a file the one that is meant? The whole file is hashed once; after that its size and time tell."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import msgspec

CHUNK_BYTES = 1 << 20

Advance = Callable[[int], None]


class Verified(msgspec.Struct, frozen=True):
    """Written beside a file after its hash was found right."""

    sha256: str
    size: int
    modified_ns: int


def sha256_of(path: Path, advance: Advance | None = None) -> str:
    """SHA-256 of a file in hexadecimal; `advance` hears of every piece of so many bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
            if advance:
                advance(len(chunk))
    return digest.hexdigest()


def is_verified(path: Path, sha256: str) -> bool:
    """Whether `path` holds the content with this hash.

    Reads the whole file only when its marker is missing or tells of another size or modification time.
    """
    if not path.is_file():
        return False
    if _read_marker(path) == _marker_of(path, sha256):
        return True
    if sha256_of(path) != sha256:
        return False
    mark_verified(path, sha256)
    return True


def mark_verified(path: Path, sha256: str) -> None:
    """Remember that `path` was found to have this hash."""
    _marker_path(path).write_bytes(msgspec.json.encode(_marker_of(path, sha256)))


def _marker_path(path: Path) -> Path:
    return path.with_name(path.name + ".verified")


def _marker_of(path: Path, sha256: str) -> Verified:
    status = path.stat()
    return Verified(sha256=sha256, size=status.st_size, modified_ns=status.st_mtime_ns)


def _read_marker(path: Path) -> Verified | None:
    try:
        return msgspec.json.decode(_marker_path(path).read_bytes(), type=Verified)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
