"""A refused handshake: the client gets the answer, and the log has no error."""

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from cloudyard.entrypoints.websocket_protocol import WebSocketProtocol
from cloudyard.testing.live_server import serving


async def refusing(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "websocket.http.response.start", "status": 401, "headers": [(b"x-reason", b"unknown")]})
    await send({"type": "websocket.http.response.body", "body": b"who ", "more_body": True})
    await send({"type": "websocket.http.response.body", "body": b"are you"})


async def forgetting(_scope: Scope, _receive: Receive, _send: Send) -> None:
    return


def refusal_of(app: ASGIApp) -> tuple[int, bytes]:
    with (
        serving(app, ws=WebSocketProtocol) as url,
        pytest.raises(InvalidStatus) as refused,
        connect(url.replace("http", "ws", 1)),
    ):
        pass
    return refused.value.response.status_code, bytes(refused.value.response.body or b"")


def test_a_refused_handshake_is_answered_and_logs_no_error(caplog: pytest.LogCaptureFixture) -> None:
    assert refusal_of(refusing) == (401, b"who are you")
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []


def test_a_handshake_that_is_forgotten_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    assert refusal_of(forgetting)[0] == 500
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == [
        "ASGI callable returned without completing handshake."
    ]
