"""WebSockets through the gate, over real sockets."""

from collections.abc import Iterator

import pytest
from fastapi import FastAPI, WebSocket
from starlette.types import Message
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from cloudyard.domains.identity import TokenPair
from cloudyard.foundation.errors import DomainError
from cloudyard.foundation.limiting import Limit
from cloudyard.testing.identity import IdentityParts
from cloudyard.testing.live_server import serving
from cloudyard.web.authentication import require_caller
from cloudyard.web.errors import ClientLeft, ProblemRenderer
from cloudyard.web.gate import Gate, GateParts
from cloudyard.web.policy import LimitRule, SurfacePolicy, paths
from cloudyard.web.surface_app import new_surface_app
from cloudyard.web.websocket import JsonSocket

POLICY = SurfacePolicy(
    name="probe",
    title="Probe",
    prefix="/probe",
    session_cookie="session",
    limits=(LimitRule("ws", Limit(4, 60), Limit(2, 60), paths("/ws")),),
)


@pytest.fixture
def app() -> FastAPI:
    app = new_surface_app(POLICY, ProblemRenderer(), services=None, description="")

    @app.websocket("/ws")
    async def echo(websocket: WebSocket) -> None:
        caller = require_caller(websocket.scope)
        socket = JsonSocket(websocket, largest_message=100)
        await socket.accept()
        async for message in socket.messages():
            if isinstance(message, DomainError):
                await socket.send({"error": message.code})
            elif message == "bye":
                await socket.close(reason="as asked")
            elif message == "bug":
                raise ZeroDivisionError("in a message")
            elif message == "refuse":
                raise DomainError("no")
            else:
                await socket.send({"user": caller.user_id, "you_said": message})

    return app


@pytest.fixture
def url(app: FastAPI, gate_parts: GateParts) -> Iterator[str]:
    with serving(Gate(app, POLICY, ProblemRenderer(), gate_parts)) as url:
        yield url.replace("http://", "ws://") + "/ws"


@pytest.fixture
async def session(identity: IdentityParts) -> TokenPair:
    user = await identity.users.register(email="ann@example.com", password="Long enough 1!")
    return await identity.sessions.start(user.id)


async def test_a_client_that_leaves_during_the_handshake_has_left() -> None:
    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(_message: Message) -> None:
        raise OSError("the connection is gone")

    with pytest.raises(ClientLeft):
        await JsonSocket(WebSocket({"type": "websocket"}, receive, send)).accept()


def opened(url: str, session: TokenPair) -> ClientConnection:
    return connect(f"{url}?token={session.access_token}")


def test_messages_go_both_ways_for_the_one_who_is_known(url: str, session: TokenPair) -> None:
    with opened(url, session) as socket:
        socket.send('{"a": [1]}')
        assert socket.recv() == f'{{"user":"{session.user.id}","you_said":{{"a":[1]}}}}'
        socket.send(b'"bytes too"')
        assert "bytes too" in str(socket.recv())
    with connect(url, additional_headers={"Authorization": f"Bearer {session.access_token}"}) as socket:
        socket.send("1")
        assert '"you_said":1' in str(socket.recv())


@pytest.mark.parametrize("query", ["", "?token=garbage"])
def test_a_stranger_is_refused_before_the_handshake(url: str, query: str) -> None:
    with pytest.raises(InvalidStatus) as refused, connect(url + query):
        pass
    assert refused.value.response.status_code == 401
    assert b"application/problem+json" in str(refused.value.response.headers).encode()
    assert refused.value.response.headers["x-ratelimit-limit"] == "2"


def test_the_handshake_carries_the_surfaces_headers(url: str, session: TokenPair) -> None:
    with opened(url, session) as socket:
        assert socket.response is not None
        assert socket.response.headers["x-request-id"]
        assert socket.response.headers["x-ratelimit-limit"] == "4"


def test_handshakes_are_limited(url: str) -> None:
    statuses = []
    for _ in range(3):
        with pytest.raises(InvalidStatus) as refused, connect(url):
            pass
        statuses.append(refused.value.response.status_code)
    assert statuses == [401, 401, 429]


def test_another_sites_page_cannot_open_one_with_the_cookie(url: str, session: TokenPair) -> None:
    cookie = {"Cookie": f"session={session.access_token}"}
    with pytest.raises(InvalidStatus), connect(url, origin="https://evil.example", additional_headers=cookie):  # type: ignore[arg-type]
        pass
    with connect(url, additional_headers=cookie) as socket:
        socket.send("1")
        assert "you_said" in str(socket.recv())


def test_a_message_that_cannot_be_read_is_answered_and_the_next_one_works(url: str, session: TokenPair) -> None:
    with opened(url, session) as socket:
        socket.send('{"a": ')
        assert socket.recv() == '{"error":"unreadable_json"}'
        socket.send("2")
        assert '"you_said":2' in str(socket.recv())


def test_a_message_that_is_too_large_ends_the_connection(url: str, session: TokenPair) -> None:
    with opened(url, session) as socket:
        socket.send('"' + "x" * 200 + '"')
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1009


@pytest.mark.parametrize(("message", "code"), [('"bye"', 1000), ('"bug"', 1011), ('"refuse"', 1011)])
def test_the_close_code_says_why(url: str, session: TokenPair, message: str, code: int) -> None:
    with opened(url, session) as socket:
        socket.send(message)
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == code
