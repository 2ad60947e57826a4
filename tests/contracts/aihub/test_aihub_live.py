"""Events over the WebSocket, live and from where they were left."""

import json
from typing import Any

import httpx2
import pytest
from aihub_people import Person
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from cloudyard.foundation.durable import Delivered
from cloudyard.testing.installation import Installation
from cloudyard.testing.waiting import eventually


@pytest.fixture
def socket_url(aihub_server: Installation) -> str:
    return aihub_server.url.replace("http", "ws", 1) + "/aihub/ws"


@pytest.fixture(autouse=True)
def welcomed(aihub_server: Installation, ann: Person, onlooker: Person) -> None:
    """The welcome notification of each is the first event in the feed."""
    live = aihub_server.services.live
    for person in (ann, onlooker):
        aihub_server.run(eventually(lambda: live.newest(person.id), bool))  # noqa: B023 - awaited at once


def told(socket: ClientConnection) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(socket.recv(timeout=30))
    return message


def renamed(client: httpx2.Client, who: Person, name: str) -> None:
    assert client.put("/api/users/me", json={"firstName": name}, headers=who.headers).status_code == 200


def test_a_change_is_told_as_it_happens(client: httpx2.Client, ann: Person, socket_url: str) -> None:
    with connect(f"{socket_url}?token={ann.access_token}") as socket:
        assert told(socket) == {"type": "connected", "data": {"lastEventId": 1}}
        renamed(client, ann, "Anna")
        event = told(socket)
        assert (event["type"], event["id"], event["event"]) == ("event", 2, "user.updated")
        assert (event["data"]["userId"], event["data"]["firstName"]) == (ann.id, "Anna")
        assert event["timestamp"].endswith("Z")


def test_who_was_away_goes_on_where_it_stopped(client: httpx2.Client, ann: Person, socket_url: str) -> None:
    for name in ("One", "Two", "Three"):
        renamed(client, ann, name)
    with connect(f"{socket_url}?lastEventId=0", additional_headers=ann.headers) as socket:
        told(socket)
        assert told(socket)["event"] == "notification.created"
        assert [(told(socket)["id"]) for _ in range(3)] == [2, 3, 4]
    with connect(f"{socket_url}?lastEventId=3", additional_headers=ann.headers) as socket:
        assert told(socket)["data"] == {"lastEventId": 4}
        assert (told(socket)["id"]) == 4
        renamed(client, ann, "Four")
        assert told(socket)["data"]["firstName"] == "Four"


def test_nobody_hears_of_others(client: httpx2.Client, ann: Person, onlooker: Person, socket_url: str) -> None:
    with connect(socket_url, additional_headers=onlooker.headers) as socket:
        told(socket)
        renamed(client, ann, "Secret")
        renamed(client, onlooker, "Mine")
        assert told(socket)["data"]["firstName"] == "Mine"


def test_a_session_that_ended_hears_no_more(
    client: httpx2.Client, ann: Person, socket_url: str, aihub_server: Installation
) -> None:
    with connect(socket_url, additional_headers=ann.headers) as socket:
        told(socket)
        assert client.post("/api/auth/logout", headers=ann.headers).status_code == 200
        event = Delivered(10**9, "payment.completed", f"user:{ann.id}", {}, aihub_server.services.clock.now())
        aihub_server.run(aihub_server.services.live.add(ann.id, event, {}))
        with pytest.raises(ConnectionClosed) as closed:
            told(socket)
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1008


def test_a_ping_is_answered_and_anything_else_is_not_taken(ann: Person, socket_url: str) -> None:
    with connect(socket_url, additional_headers=ann.headers) as socket:
        told(socket)
        socket.send('{"type": "ping"}')
        assert told(socket) == {"type": "pong"}
        for strange in ("[]", "{", '{"type": "subscribe"}', '"ping"'):
            socket.send(strange)
            assert told(socket)["type"] == "error"
        socket.send('{"type": "ping"}')
        assert told(socket) == {"type": "pong"}


def test_a_stranger_is_refused(socket_url: str) -> None:
    with pytest.raises(InvalidStatus) as refused, connect(socket_url):
        pass
    assert refused.value.response.status_code == 401
    with pytest.raises(InvalidStatus), connect(f"{socket_url}?token=nonsense"):
        pass
