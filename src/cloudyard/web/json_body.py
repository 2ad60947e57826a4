"""Reading JSON bodies strictly: the right content type, valid UTF-8, no NaN, bounded depth, and no duplicate names but
where a body is decoded straight into its shape."""

import re
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import msgspec
from fastapi import Request, Response, params
from fastapi.routing import APIRoute
from starlette.types import Message, Receive

from cloudyard.web.errors import Issue, MalformedRequest, UnreadableJson, UnsupportedMediaType

T = TypeVar("T")

DEEPEST = 100
# A string of a JSON text that is known to be valid, and the colon that makes it a name.
STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"(\s*+:)?')
OF_A_KEY = "` in `"  # what stands between "key" and its object, where the name of a member is wrong
VALIDATION = re.compile(r"^(?P<what>.*?)(?: - at `(?P<path>.+)`)?$", re.DOTALL)

_decode_any = msgspec.json.Decoder().decode


def require_json(content_type: bytes | None) -> None:
    """Refuse a body that does not say that it is JSON (which also keeps plain HTML forms out)."""
    kind = (content_type or b"").partition(b";")[0].strip().lower()
    if kind == b"application/json" or (kind.startswith(b"application/") and kind.endswith(b"+json")):
        return
    shown = kind.decode("latin-1") or "none"
    raise UnsupportedMediaType(
        f"This route takes JSON, and the content type is {shown}. Send the header `Content-Type: application/json`."
    )


def decode_json(body: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """Decode into a declared shape, fast. Of a name that comes twice the last one counts, for everyone.

    Raises `UnreadableJson`, or `MalformedRequest` naming the field at fault.
    """
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _invalid(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _unreadable(str(error)) from error
    except RecursionError as error:
        raise _too_deep() from error


def parse_json(body: bytes) -> Any:
    """Parse any JSON text into plain Python values. Raises `UnreadableJson`."""
    try:
        value = _decode_any(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _unreadable(str(error)) from error
    except RecursionError as error:
        raise _too_deep() from error
    names = _names_in(value)
    if names and sum(1 for found in STRING.finditer(body) if found[1] is not None) != names:
        raise _unreadable("an object has the same name twice")
    return value


class StrictJsonRequest(Request):
    """A request whose JSON body has been read strictly."""

    _value: Any = None

    @classmethod
    async def reading(cls, request: Request) -> "StrictJsonRequest":
        """Read the body of a request. Raises what `require_json` and `parse_json` raise."""
        body = await request.body()
        strict = cls(request.scope, _again(body, request.receive))
        if body:
            require_json(strict.headers.get("content-type", "").encode("latin-1"))
            strict._value = parse_json(body)
        return strict

    async def json(self) -> Any:
        """The parsed body."""
        return self._value


def takes_json(route: APIRoute) -> bool:
    """Whether a route has a body that is no form."""
    return route.body_field is not None and not isinstance(route.body_field.field_info, params.Form)


class StrictJsonRoute(APIRoute):
    """A FastAPI route that reads its JSON body strictly."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, behind the strict reading of the body where the route takes JSON."""
        handler = super().get_route_handler()
        if not takes_json(self):
            return handler

        async def strict(request: Request) -> Response:
            return await handler(await StrictJsonRequest.reading(request))

        return strict


def _again(body: bytes, receive: Receive) -> Receive:
    """Gives a body that was read once more, then whatever the client does next."""
    given = False

    async def receive_again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_again


def _names_in(value: Any) -> int:
    """How many names all objects in a value have together. Raises `UnreadableJson` for one nested too deeply."""
    names = 0
    level = [value]
    for _ in range(DEEPEST):
        names += sum(len(each) for each in level if type(each) is dict)
        level = [inner for each in level for inner in _inside(each) if type(inner) in (dict, list)]
        if not level:
            return names
    raise _too_deep()


def _inside(value: Any) -> Any:
    if type(value) is dict:
        return value.values()
    return value if type(value) is list else ()


def _invalid(message: str) -> MalformedRequest:
    found = VALIDATION.match(message)
    what = found["what"] if found is not None else message
    path = ((found["path"] if found is not None else None) or "$").rpartition(OF_A_KEY)[2]
    missing = re.search(r"missing required field `(\w+)`", what)
    field = f"{path}.{missing[1]}" if missing is not None else path
    field = re.sub(r"\[(\d+)\]", r".\1", field.replace("[...]", "")).removeprefix("$").removeprefix(".") or "body"
    return MalformedRequest(f"{field}: {what}", [Issue(field, what)])


def _unreadable(reason: str) -> UnreadableJson:
    return UnreadableJson(f"The body is no valid JSON: {reason}.", [Issue("body", reason)])


def _too_deep() -> UnreadableJson:
    return _unreadable(f"it is nested more than {DEEPEST} levels deep")
