"""Links to a surface's own routes, as the caller reached it."""

from starlette.requests import HTTPConnection


def own_url(connection: HTTPConnection, path: str) -> str:
    """The absolute URL of a path below the surface's prefix, under the host name that the caller used."""
    scheme = "https" if connection.scope["state"]["https"] else "http"
    host = connection.headers.get("host") or "localhost"
    return f"{scheme}://{host}{connection.scope.get('root_path', '')}{path}"
