from typing import Annotated, Any

import msgspec
import pytest
from fastapi import Body, FastAPI, Form
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from cloudyard.web.errors import MalformedRequest, ProblemRenderer, UnreadableJson, UnsupportedMediaType
from cloudyard.web.json_body import DEEPEST, decode_json, parse_json, require_json
from cloudyard.web.policy import SurfacePolicy
from cloudyard.web.surface_app import new_surface_app


class Inner(msgspec.Struct):
    role: str


class Wanted(msgspec.Struct):
    model: str
    messages: list[Inner]
    max_tokens: Annotated[int, msgspec.Meta(ge=1)] | None = None


decoder = msgspec.json.Decoder(Wanted)

UNREADABLE = [
    b'{"a": ',
    b"",
    b"{'a': 1}",
    b'{"a": NaN}',
    b"[Infinity]",
    b'{"a": 1} trailing',
    b'"\xff\xfe"',
    b'{"a\xff": 1}',
    b"\xef\xbb\xbf{}",
    b"nul",
    b"[1,]",
]


@pytest.mark.parametrize("body", UNREADABLE)
def test_what_is_no_json_is_refused_and_the_reason_told(body: bytes) -> None:
    with pytest.raises(UnreadableJson, match="no valid JSON"):
        parse_json(body)
    # a declared shape may find fault with a value before the end of the text is seen
    with pytest.raises(MalformedRequest):
        decode_json(body, decoder)


@pytest.mark.parametrize("body", [b'{"a": 1, "a": 2}', b'[{"b": {"x": 1, "\\u0078": 2}}]', b'{"a":{"k":1},"a" :2}'])
def test_a_name_that_comes_twice_is_refused(body: bytes) -> None:
    with pytest.raises(UnreadableJson, match="twice"):
        parse_json(body)


def test_text_that_looks_like_names_is_no_name() -> None:
    tricky = {"a": 'he said "b": 1, {"c":', 'q"': ["x:", '":'], "": {"": ""}, "back\\": "slash\\"}
    assert parse_json(msgspec.json.encode(tricky)) == tricky


def nested(levels: int, opening: bytes = b"[", closing: bytes = b"]") -> bytes:
    return opening * levels + closing * levels


def test_nesting_has_an_end() -> None:
    assert parse_json(nested(DEEPEST)) is not None
    for levels in (DEEPEST + 1, 100_000):
        with pytest.raises(UnreadableJson, match="levels deep"):
            parse_json(nested(levels))
    with pytest.raises(UnreadableJson, match="levels deep"):
        decode_json(b'{"model": "m", "messages": [], "unknown": ' + nested(100_000) + b"}", decoder)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(json_values)
def test_every_json_text_is_read_as_it_is(value: Any) -> None:
    assert parse_json(msgspec.json.encode(value)) == value


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"messages": []}', "model"),
        (b'{"model": 5, "messages": []}', "model"),
        (b'{"model": "m", "messages": [{"role": 7}]}', "messages.0.role"),
        (b'{"model": "m", "messages": [{}]}', "messages.0.role"),
        (b'{"model": "m", "messages": [], "max_tokens": 0}', "max_tokens"),
        (b"[]", "body"),
    ],
)
def test_the_field_at_fault_is_named(body: bytes, field: str) -> None:
    with pytest.raises(MalformedRequest) as caught:
        decode_json(body, decoder)
    assert caught.value.field is not None
    # msgspec does not say which element of a list it was
    assert caught.value.field.replace("...", "0") == field


@pytest.mark.parametrize("kind", [b"application/json", b"Application/JSON; charset=utf-8", b"application/ld+json"])
def test_json_content_types_are_taken(kind: bytes) -> None:
    require_json(kind)


@pytest.mark.parametrize(
    "kind", [None, b"", b"text/plain", b"application/x-www-form-urlencoded", b"text/json", b"json"]
)
def test_other_content_types_are_refused(kind: bytes | None) -> None:
    with pytest.raises(UnsupportedMediaType, match="Content-Type: application/json"):
        require_json(kind)


@pytest.fixture
def client() -> TestClient:
    app: FastAPI = new_surface_app(
        SurfacePolicy(name="probe", title="Probe", prefix="/probe"), ProblemRenderer(), services=None, description=""
    )

    @app.post("/object")
    async def take_object(value: Annotated[dict[str, Any], Body()]) -> dict[str, Any]:
        return value

    @app.post("/form")
    async def take_form(name: Annotated[str, Form()]) -> str:
        return name

    async def with_state(scope: Any, receive: Any, send: Any) -> None:
        scope.setdefault("state", {}).update(request_id="r-1", principal=None, credential_error=None)
        await app(scope, receive, send)

    return TestClient(with_state)


@pytest.mark.parametrize(
    ("body", "content_type", "status", "code"),
    [
        (b'{"a": ', "application/json", 400, "unreadable_json"),
        (b'{"a": 1, "a": 2}', "application/json", 400, "unreadable_json"),
        (b'{"a": 1}', "text/plain", 415, "unsupported_media_type"),
        (b"[1]", "application/json", 400, "malformed_request"),
        (b"", "application/json", 400, "malformed_request"),
    ],
)
def test_fastapi_routes_read_as_strictly(
    client: TestClient, body: bytes, content_type: str, status: int, code: str
) -> None:
    answer = client.post("/object", content=body, headers={"Content-Type": content_type})
    assert answer.status_code == status
    assert answer.json()["code"] == code


def test_fastapi_routes_get_what_was_sent(client: TestClient) -> None:
    assert client.post("/object", json={"a": [1, {"b": None}]}).json() == {"a": [1, {"b": None}]}
    assert client.post("/form", data={"name": "x"}).json() == "x"
