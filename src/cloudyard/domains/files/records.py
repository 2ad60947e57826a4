"""Files as other parts see them."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from cloudyard.foundation.errors import InvalidInput

LONGEST_PURPOSE = 64
LONGEST_DESCRIPTION = 2000
MOST_TAGS = 50
LONGEST_TAG = 100
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class FileRecord:
    """A stored file. `size` is in bytes, `sha256` in hexadecimal, `content_type` what its bytes allow it to be."""

    id: str
    user_id: str
    filename: str
    size: int
    content_type: str
    sha256: str
    purpose: str | None
    description: str | None
    tags: tuple[str, ...]
    public: bool
    created_at: datetime
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class FileDetails:
    """What an owner says about a file. Raises `InvalidInput` for values that are too long or too many.

    `purpose` is the surface's own word (fine-tune, dataset, ...); `expires_in` None keeps the file.
    """

    purpose: str | None = None
    description: str | None = None
    tags: tuple[str, ...] = ()
    public: bool = False
    expires_in: timedelta | None = None

    def __post_init__(self) -> None:
        check_text("purpose", self.purpose or "", LONGEST_PURPOSE)
        check_text("description", self.description or "", LONGEST_DESCRIPTION)
        if len(self.tags) > MOST_TAGS:
            raise InvalidInput(f"A file may have {MOST_TAGS} tags; {len(self.tags)} were sent.", field="tags")
        for tag in self.tags:
            check_text("tags", tag, LONGEST_TAG)
        if self.expires_in is not None and self.expires_in <= timedelta(0):
            raise InvalidInput("A file cannot expire before it is stored.", field="expires_after")


@dataclass(frozen=True, slots=True)
class StagedFile:
    """A file whose bytes have arrived and which is nobody's until `Files.keep`; it lapses by itself."""

    id: str
    user_id: str
    filename: str
    content_type: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class FileUsage:
    """What a user keeps: number of files, their bytes (running uploads included), and the bytes allowed."""

    files: int
    bytes: int
    quota_bytes: int


def check_text(field: str, text: str, longest: int) -> None:
    """Refuse text that is too long or that a database cannot hold."""
    if len(text) > longest:
        raise InvalidInput(f"At most {longest} characters are allowed; {len(text)} were sent.", field=field)
    if UNSTORABLE.search(text):
        raise InvalidInput("NUL characters and lone surrogates are not allowed.", field=field)
