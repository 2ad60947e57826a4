"""Where an application may have people sent back to (RFC 8252, section 7; RFC 9700, section 2.1)."""

from collections.abc import Iterable
from urllib.parse import SplitResult, urlsplit

from cloudyard.domains.identity.oauth_errors import InvalidRedirectUri

LONGEST_URI = 2000
MOST_URIS = 10
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
# Schemes that a browser acts upon by itself, or that reach elsewhere than to an application of the user's.
FORBIDDEN_SCHEMES = frozenset(
    {"about", "blob", "chrome", "data", "file", "filesystem", "ftp", "javascript", "mailto", "tel", "vbscript", "ws"}
    | {"wss", "view-source"}
)


def checked_redirect_uris(uris: Iterable[str]) -> tuple[str, ...]:
    """The addresses, if all can be used. Raises `InvalidRedirectUri`."""
    given = tuple(uris)
    if not 1 <= len(given) <= MOST_URIS:
        raise InvalidRedirectUri(f"A client has 1 to {MOST_URIS} redirect URIs.", field="redirect_uris")
    for uri in given:
        _check(uri)
    return given


def may_return_to(registered: Iterable[str], asked: str) -> bool:
    """Whether an address is one of the client's: the very same text, but for the port on this very machine.

    A native application learns its port only when it listens (RFC 8252, section 7.3).
    """
    return any(uri == asked or _same_but_port(uri, asked) for uri in registered)


def is_loopback(uri: str) -> bool:
    """Whether it leads to the machine that the browser runs on."""
    parts = urlsplit(uri)
    return parts.scheme == "http" and parts.hostname in LOOPBACK


def _same_but_port(registered: str, asked: str) -> bool:
    if len(asked) > LONGEST_URI or not _is_plain(asked):
        return False
    try:
        one, other = urlsplit(registered), urlsplit(asked)
        other_port = other.port
    except ValueError:
        return False
    loopback = one.scheme == other.scheme == "http" and one.hostname in LOOPBACK and other_port != 0
    return loopback and _without_port(one) == _without_port(other)


def _without_port(parts: SplitResult) -> tuple[str | None, ...]:
    return (parts.username, parts.password, parts.hostname, parts.path, parts.query, parts.fragment)


def _check(uri: str) -> None:
    if len(uri) > LONGEST_URI or not _is_plain(uri):
        raise _refusal(uri, f"it must have at most {LONGEST_URI} characters, all printable ASCII")
    try:
        parts = urlsplit(uri)
        host, _port = parts.hostname, parts.port
    except ValueError as error:
        raise _refusal(uri, "it cannot be read") from error
    if parts.fragment or "#" in uri or parts.username is not None:
        raise _refusal(uri, "it may have neither a fragment nor a user name")
    if not parts.scheme or parts.scheme in FORBIDDEN_SCHEMES:
        raise _refusal(uri, "its scheme is not allowed")
    if parts.scheme in ("http", "https") and not host:
        raise _refusal(uri, "it needs a host")
    if parts.scheme == "http" and host not in LOOPBACK:
        raise _refusal(uri, "http is for this machine only (127.0.0.1, [::1], localhost); use https")


def _is_plain(uri: str) -> bool:
    return uri.isascii() and uri.isprintable() and not set(uri) & set(" \"'<>\\^`{|};,")


def _refusal(uri: str, why: str) -> InvalidRedirectUri:
    return InvalidRedirectUri(f"The redirect URI {uri[:200]!r} cannot be used: {why}.", field="redirect_uris")
