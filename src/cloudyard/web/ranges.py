"""Range and conditional requests for one immutable file (RFC 9110, sections 13 and 14)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

# One range. Digits are bounded because no file is longer, and because Python refuses to read endless numbers.
SINGLE_RANGE = re.compile(r"bytes[ \t]*=[ \t,]*([0-9]{0,19})-([0-9]{0,19})[ \t,]*", re.IGNORECASE)
ENTITY_TAG = re.compile(r'(W/)?("[\x21\x23-\x7e\x80-\xff]*")')


@dataclass(frozen=True, slots=True)
class Selection:
    """What of a file to send, with which status: the bytes from `start` up to and not including `end`."""

    status: int
    start: int
    end: int
    size: int

    @property
    def length(self) -> int:
        """Bytes to send."""
        return self.end - self.start

    def headers(self) -> dict[str, str]:
        """The headers that say which part it is."""
        if self.status == HTTPStatus.PARTIAL_CONTENT:
            return {"content-range": f"bytes {self.start}-{self.end - 1}/{self.size}"}
        if self.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return {"content-range": f"bytes */{self.size}"}
        return {}


def select(method: str, headers: Mapping[str, str], *, size: int, etag: str) -> Selection:
    """What a GET or HEAD asks for: all (200), one range (206), nothing new (304) or nothing that exists (416).

    `headers` are found in lower case. `etag` is strong and quoted. A range that is malformed, or more than one,
    is ignored, as section 14.2 allows.
    """
    if not_modified(headers.get("if-none-match"), etag):
        return Selection(HTTPStatus.NOT_MODIFIED, 0, 0, size)
    wanted = headers.get("range")
    if wanted is None or method != "GET" or headers.get("if-range", etag) != etag:
        return Selection(HTTPStatus.OK, 0, size, size)
    return _ranged(wanted, size)


def not_modified(if_none_match: str | None, etag: str) -> bool:
    """Whether the client has the file already (section 13.1.2; weak comparison)."""
    if if_none_match is None:
        return False
    return if_none_match.strip() == "*" or any(tag == etag for _, tag in ENTITY_TAG.findall(if_none_match))


def etag_of(sha256: str) -> str:
    """The strong entity tag of content with that checksum."""
    return f'"{sha256}"'


def _ranged(wanted: str, size: int) -> Selection:
    everything = Selection(HTTPStatus.OK, 0, size, size)
    match = SINGLE_RANGE.fullmatch(wanted.strip())
    if match is None or match[1] == match[2] == "":
        return everything
    first, last = match[1], match[2]
    if first == "":
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(int(last) + 1 if last else size, size)
        if last and int(last) < start:
            return everything
    if start >= end:
        return Selection(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, 0, 0, size)
    return Selection(HTTPStatus.PARTIAL_CONTENT, start, end, size)
