"""What holds unless the caller says otherwise."""

import httpx2

TIMEOUT_SECONDS = 120.0
"""Between two signs of life of the server: a whole answer of a slow model takes its time, and is charged."""
CONNECT_SECONDS = 10.0

LIVE_IS_MISSING = "client.live needs the package websockets: pip install 'smartaihub-python[live]'"


def default_timeout(seconds: float | None) -> httpx2.Timeout:
    """The timeouts of a client."""
    seconds = TIMEOUT_SECONDS if seconds is None else seconds
    return httpx2.Timeout(seconds, connect=min(seconds, CONNECT_SECONDS))


def checked_base_url(base_url: str) -> str:
    """The address without a slash at its end. Raises ValueError for what is none."""
    if not base_url.startswith(("http://", "https://")):
        raise ValueError(f"base_url has to begin with http:// or https://, and {base_url!r} does not")
    return base_url.rstrip("/")
