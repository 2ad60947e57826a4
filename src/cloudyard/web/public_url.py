"""The address under which a caller reached this server."""

import re

from starlette.types import Scope

_SANE_HOST = re.compile(r"[A-Za-z0-9._-]+(:[0-9]{1,5})?|\[[0-9a-fA-F:.]+\](:[0-9]{1,5})?")
FALLBACK = "127.0.0.1:8000"


class PublicUrl:
    """The base URL of this server: as configured, else as the request names it (`Host`)."""

    def __init__(self, configured: str | None) -> None:
        self._configured = configured.rstrip("/") if configured else None

    def base(self, scope: Scope) -> str:
        """The base URL without a slash at its end, for a request that came through a gate."""
        if self._configured is not None:
            return self._configured
        host = next((value for name, value in scope["headers"] if name == b"host"), b"").decode("latin-1")
        scheme = "https" if scope["state"]["https"] else "http"
        return f"{scheme}://{host if _SANE_HOST.fullmatch(host) else FALLBACK}".lower()
