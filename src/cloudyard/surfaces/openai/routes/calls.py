"""One call of an inference endpoint, as raw ASGI: what is known of it, and how it is answered."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from starlette.types import Receive, Scope, Send

from cloudyard.domains.identity.records import Principal
from cloudyard.domains.inference import CallContext
from cloudyard.foundation.durable import StoredAnswer
from cloudyard.surfaces.openai.policy import SURFACE
from cloudyard.web.authentication import require_caller
from cloudyard.web.errors import ClientLeft
from cloudyard.web.json_body import require_json
from cloudyard.web.policy import Header
from cloudyard.web.visit import Visit

JSON: Header = (b"content-type", b"application/json")


@dataclass(slots=True)
class Call:
    """One call. `started_at` is the clock's monotonic time at which it came."""

    principal: Principal
    context: CallContext
    headers: Mapping[bytes, bytes]
    body: bytes
    started_at: float
    receive: Receive
    send: Send


async def read_call(scope: Scope, receive: Receive, send: Send) -> Call:
    """Read a call whole. Raises `AuthenticationRequired`, `UnsupportedMediaType`, `BodyTooLarge` or `ClientLeft`."""
    principal = require_caller(scope)
    visit: Visit = scope["state"]["visit"]
    require_json(visit.headers.get(b"content-type"))
    body = await _body(receive)
    context = CallContext(SURFACE, visit.context.request_id)
    return Call(principal, context, visit.headers, body, visit.started_at, receive, send)


async def send_body(send: Send, body: bytes, headers: Iterable[Header]) -> None:
    """Answer with a body that is there already."""
    await send({"type": "http.response.start", "status": 200, "headers": [*headers, _length(body)]})
    await send({"type": "http.response.body", "body": body})


async def send_stored(send: Send, stored: StoredAnswer) -> None:
    """Answer with what was answered the first time."""
    headers = [(name.encode(), value.encode("latin-1")) for name, value in stored.headers.items()]
    headers.append(_length(stored.body))
    await send({"type": "http.response.start", "status": stored.status, "headers": headers})
    await send({"type": "http.response.body", "body": stored.body})


async def _body(receive: Receive) -> bytes:
    message = await receive()
    body: bytes = message.get("body", b"")
    if message["type"] == "http.request" and not message.get("more_body", False):
        return body
    pieces = [body]
    while message["type"] == "http.request" and message.get("more_body", False):
        message = await receive()
        pieces.append(message.get("body", b""))
    if message["type"] != "http.request":
        raise ClientLeft
    return b"".join(pieces)


def _length(body: bytes) -> Header:
    return (b"content-length", b"%d" % len(body))
