"""URLs that are checked and added to."""

from collections.abc import Mapping
from urllib.parse import urlencode, urlsplit, urlunsplit

LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})


def is_private(url: str) -> bool:
    """Whether nobody on the way can read or change what goes there: https, or http on this very machine.

    Raises ValueError for what is no URL.
    """
    parts = urlsplit(url)
    if parts.scheme == "http":
        return parts.hostname in LOOPBACK_HOSTS
    return parts.scheme == "https" and bool(parts.hostname)


def is_base(url: str) -> bool:
    """Whether paths can be put behind it: an absolute http or https URL without query and fragment.

    Raises ValueError for what is no URL.
    """
    parts = urlsplit(url)
    if parts.port == 0 or set(url) & set("?# \t\r\n"):
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def http_url(host: str, port: int) -> str:
    """Where a server without TLS is reached; an IPv6 address stands in brackets there (RFC 3986, 3.2.2)."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def with_parameters(url: str, parameters: Mapping[str, str]) -> str:
    """The URL with more parameters in its query, behind those that it has."""
    parts = urlsplit(url)
    query = "&".join(part for part in (parts.query, urlencode(parameters)) if part)
    return urlunsplit(parts._replace(query=query))
