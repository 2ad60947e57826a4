"""Where a server is, and how a request to it begins."""

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import SplitResult, quote, unquote, urlsplit

PORTS = {"http": 80, "https": 443}
PATH_CHARACTERS = "/%:@!$&'()*+,;=~"
"""What a path may have beside letters, digits and `-._` (RFC 3986, 3.3); the rest is escaped."""


@dataclass(frozen=True, slots=True)
class Address:
    """A host, a port, and whether TLS is spoken there."""

    host: str
    port: int
    tls: bool


@dataclass(frozen=True, slots=True)
class Place:
    """An address, and what requests to it say: the Host header, the path that theirs begin with, and who asks, where
    the URL tells that (RFC 7617)."""

    address: Address
    authority: str
    path: str
    credentials: str | None


@lru_cache(maxsize=256)
def place_of(base_url: str) -> Place:
    """Where requests below this URL go. Raises ValueError for what is no http or https URL, or has a query."""
    parts = urlsplit(base_url)
    if parts.scheme not in PORTS or not parts.hostname:
        raise ValueError(f"{base_url} is no http or https URL")
    address = Address(parts.hostname, parts.port or PORTS[parts.scheme], tls=parts.scheme == "https")
    if parts.query or parts.fragment:
        raise ValueError(f"{base_url} has a query or a fragment, to which no path can be added")
    return Place(address, parts.netloc.rpartition("@")[2], quote(parts.path, safe=PATH_CHARACTERS), _credentials(parts))


def request_head(place: Place, path: str, headers: Mapping[str, str], length: int) -> bytes:
    """The head of a POST with a body of so many bytes (RFC 9112).

    Raises ValueError where a header's value would end its line.
    """
    lines = [f"POST {place.path}{path} HTTP/1.1", f"Host: {place.authority}", f"Content-Length: {length}"]
    if place.credentials is not None and "Authorization" not in headers:
        lines.append(f"Authorization: {place.credentials}")
    for name, value in headers.items():
        if not value.isprintable():
            raise ValueError(f"the value of the header {name} has characters that no header can carry")
        lines.append(f"{name}: {value}")
    lines.append("\r\n")
    return "\r\n".join(lines).encode()


def _credentials(parts: SplitResult) -> str | None:
    if parts.username is None:
        return None
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return f"Basic {b64encode(pair.encode()).decode()}"
