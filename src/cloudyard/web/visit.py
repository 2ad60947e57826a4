"""One request on its way through the gate: what is known of it, and what goes out with its answer."""

from collections.abc import Sequence
from typing import Any

from starlette.types import Message, Scope, Send

from cloudyard.domains.identity.records import Principal
from cloudyard.foundation.errors import DomainError
from cloudyard.foundation.telemetry import RequestContext
from cloudyard.web.errors import CLOSE_FAILED, CLOSE_REFUSED, Rendered
from cloudyard.web.policy import WEBSOCKET, Header

SWITCHING_PROTOCOLS = 101
UNMATCHED = "unmatched"
STARTS = frozenset({"http.response.start", "websocket.accept", "websocket.http.response.start"})
CONTENT_POLICY = b"content-security-policy"


class Visit:
    """The state of one request. Its `send` adds the headers that every answer of the surface carries."""

    __slots__ = (
        "_content_policy",
        "_send",
        "address",
        "context",
        "headers",
        "https",
        "method",
        "path",
        "principal",
        "response_headers",
        "scope",
        "started",
        "started_at",
        "state",
        "status",
        "websocket",
    )

    def __init__(self, scope: Scope, send: Send, *, surface: str, started_at: float) -> None:
        self.scope = scope
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.websocket = scope["type"] == "websocket"
        self.method: str = WEBSOCKET if self.websocket else scope["method"]
        self.path = path_below(scope)
        self.context = RequestContext("", surface)
        self.started_at = started_at
        self.principal: Principal | None = None
        self.address = ""
        self.https = False
        self.started = False
        self.status = 0
        self.response_headers: list[Header] = []
        self._content_policy: Header = (CONTENT_POLICY, b"")
        self._send = send
        self.state: dict[str, Any] = scope.setdefault("state", {})
        self.state.update(principal=None, credential_error=None, path=self.path, visit=self)

    def named(self, request_id: str) -> None:
        """Give the request its id."""
        self.context.request_id = request_id
        self.state["request_id"] = request_id

    def came_from(self, address: str, *, https: bool) -> None:
        """Note the caller's address and whether it came by https."""
        self.address = address
        self.https = https
        self.state["address"] = address
        self.state["https"] = https

    def answers_with(self, headers: Sequence[Header], content_policy: Header) -> None:
        """Set what every answer carries; a response may bring a content policy of its own."""
        self.response_headers = [*headers]
        self._content_policy = content_policy

    def identified(self, principal: Principal) -> None:
        """Note who is calling."""
        self.principal = principal
        self.state["principal"] = principal
        self.context.user_id = principal.user_id

    def unidentified(self, error: DomainError) -> None:
        """Note why a credential was refused, for routes that need one."""
        self.state["credential_error"] = error

    async def send(self, message: Message) -> None:
        """Pass a message on; the first gets the headers that every answer carries."""
        if message["type"] in STARTS and not self.started:
            self.started = True
            self.status = message.get("status", SWITCHING_PROTOCOLS)
            headers = [*message.get("headers", ()), *self.response_headers]
            if not any(name == CONTENT_POLICY for name, _ in headers):
                headers.append(self._content_policy)
            message = {**message, "headers": headers}
        await self._send(message)

    async def refuse(self, rendered: Rendered, send: Send) -> None:
        """Answer with an error, unless an answer has begun: then the connection ends where it is."""
        if self.websocket:
            await self._refuse_websocket(rendered, send)
            return
        if self.started:
            return
        await send({"type": "http.response.start", "status": rendered.status, "headers": rendered.all_headers()})
        await send({"type": "http.response.body", "body": rendered.body})

    async def _refuse_websocket(self, rendered: Rendered, send: Send) -> None:
        if self.started:
            code = CLOSE_REFUSED if rendered.status < 500 else CLOSE_FAILED
            await send({"type": "websocket.close", "code": code})
            return
        if "websocket.http.response" not in (self.scope.get("extensions") or {}):
            self.status = rendered.status
            await send({"type": "websocket.close", "code": CLOSE_REFUSED})
            return
        start = {"type": "websocket.http.response.start", "status": rendered.status, "headers": rendered.all_headers()}
        await send(start)
        await send({"type": "websocket.http.response.body", "body": rendered.body})

    def end(self) -> None:
        """Let go of what refers back to the visit, so that it is freed at once."""
        self.state.pop("visit", None)

    def route(self) -> str:
        """The template of the route that answered; a raw ASGI app names it in `scope["state"]["route"]`."""
        named = self.state.get("route")
        if named is not None:
            return str(named)
        path = getattr(self.scope.get("route"), "path", None)
        return path if path is not None else UNMATCHED


def path_below(scope: Scope) -> str:
    """The path below the surface's prefix (`root_path`)."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    return path[len(root) :] or "/" if root and path.startswith(root) else path
