"""All surfaces on one server: chosen by port, by host name, or by the first segment of the path."""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

from starlette.routing import Router
from starlette.types import ASGIApp, Receive, Scope, Send

from cloudyard.foundation.ids import Ids
from cloudyard.web.errors import CLOSE_REFUSED, ProblemRenderer, RouteNotFound

Lifespan = Callable[[Any], AbstractAsyncContextManager[None]]


@dataclass(frozen=True, slots=True)
class Mount:
    """A surface's guarded app and its prefix, e.g. `/pynode`."""

    name: str
    prefix: str
    app: ASGIApp


class SurfaceRouter:
    """Passes each request to its surface, with the prefix in `root_path`.

    A host name (`hosts`: name -> surface) and a port of its own (`ports`: port -> surface) choose a surface too,
    and then the prefix may be left out. `front` answers `front_paths`. `lifespan` runs once for the whole server;
    the apps get no lifespan events of their own.
    """

    def __init__(
        self,
        mounts: Sequence[Mount],
        ids: Ids,
        *,
        front: ASGIApp | None = None,
        front_paths: Collection[str] = ("/",),
        hosts: Mapping[str, str] | None = None,
        ports: Mapping[int, str] | None = None,
        lifespan: Lifespan | None = None,
    ) -> None:
        by_name = {mount.name: mount for mount in mounts}
        self._mounts = tuple(mounts)
        self._by_segment = {mount.prefix.strip("/"): mount for mount in mounts}
        self._by_host = {host.lower(): by_name[name] for host, name in (hosts or {}).items()}
        self._by_port = {port: by_name[name] for port, name in (ports or {}).items()}
        self._front = front
        self._front_paths = frozenset(front_paths)
        self._ids = ids
        self._problems = ProblemRenderer()
        self._life = Router(lifespan=lifespan)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, one WebSocket, or the life of the server."""
        if scope["type"] == "lifespan":
            await self._life.lifespan(scope, receive, send)
            return
        path: str = scope["path"]
        placed = self._by_place(scope)
        mount = placed or self._by_segment.get(_first_segment(path))
        if mount is not None:
            if placed is None or _first_segment(path) == mount.prefix.strip("/"):
                scope["root_path"] = scope.get("root_path", "") + mount.prefix
            await mount.app(scope, receive, send)
        elif self._front is not None and path in self._front_paths:
            await self._front(scope, receive, send)
        else:
            await self._unknown(scope, send)

    def _by_place(self, scope: Scope) -> Mount | None:
        server = scope.get("server")
        if self._by_port and server is not None and server[1] in self._by_port:
            return self._by_port[server[1]]
        if not self._by_host:
            return None
        host = next((value for name, value in scope["headers"] if name == b"host"), b"")
        return self._by_host.get(_host_name(host.decode("latin-1")))

    async def _unknown(self, scope: Scope, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": CLOSE_REFUSED})
            return
        surfaces = {mount.name: mount.prefix for mount in self._mounts}
        listed = ", ".join(sorted(surfaces.values()))
        error = RouteNotFound(
            f"No surface is served under this path. The surfaces are: {listed}.", details={"surfaces": surfaces}
        )
        rendered = self._problems.render(error, self._ids.new())
        await send({"type": "http.response.start", "status": rendered.status, "headers": rendered.all_headers()})
        await send({"type": "http.response.body", "body": rendered.body})


def _first_segment(path: str) -> str:
    return path[1:].partition("/")[0]


def _host_name(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()
