"""Events over the WebSocket, live and from where they were left."""

import json
import time
from contextlib import suppress
from typing import Any

import httpx2
import pytest
from aihub_people import Person
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from cloudyard.domains.identity import Scope
from cloudyard.foundation.database import DatabaseUnavailable
from cloudyard.foundation.durable import Delivered
from cloudyard.surfaces.aihub.routes import live
from cloudyard.testing.installation import Installation
from cloudyard.testing.waiting import RECOVERS_WITHIN_SECONDS, eventually


@pytest.fixture
def socket_url(aihub_server: Installation) -> str:
    return aihub_server.url.replace("http", "ws", 1) + "/aihub/ws"


@pytest.fixture(autouse=True)
def welcomed(aihub_server: Installation, ann: Person, onlooker: Person) -> None:
    """The welcome notification of each is the first event in the feed."""
    feed = aihub_server.services.live
    for person in (ann, onlooker):
        aihub_server.run(eventually(lambda: feed.newest(person.id), bool))  # noqa: B023 - awaited at once


def key_headers(server: Installation, who: Person, *scopes: Scope) -> dict[str, str]:
    """An API key of somebody, with these scopes alone."""
    _, key = server.run(server.services.api_keys.create(who.id, name="agent", scopes=frozenset(scopes)))
    return {"Authorization": f"Bearer {key}"}


def happens(server: Installation, who: Person, number: int, kind: str) -> None:
    """Put an event into a feed, as the outbox does."""
    event = Delivered(number, kind, f"user:{who.id}", {}, server.services.clock.now())
    server.run(server.services.live.add(who.id, event, {}))


def closed_with(socket: ClientConnection) -> tuple[int, str]:
    """How the server closes a connection on which it sends nothing more."""
    with pytest.raises(ConnectionClosed) as closed:
        told(socket)
    assert closed.value.rcvd is not None
    return closed.value.rcvd.code, closed.value.rcvd.reason


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


def test_a_key_without_the_scope_is_refused(ann: Person, socket_url: str, aihub_server: Installation) -> None:
    headers = key_headers(aihub_server, ann, Scope.INFERENCE, Scope.WALLET)
    with pytest.raises(InvalidStatus) as refused, connect(socket_url, additional_headers=headers):
        pass
    assert refused.value.response.status_code == 403


def test_a_key_without_the_wallet_hears_nothing_of_money(
    client: httpx2.Client, ann: Person, socket_url: str, aihub_server: Installation
) -> None:
    poor = key_headers(aihub_server, ann, Scope.ACCOUNT)
    rich = key_headers(aihub_server, ann, Scope.ACCOUNT, Scope.WALLET)
    money = ["credit.used", "payment.completed", "credit.purchased", "chat.completed"]
    for number, kind in enumerate(money):
        happens(aihub_server, ann, 2 * 10**9 + number, kind)
    renamed(client, ann, "Anna")
    feed = aihub_server.services.live
    aihub_server.run(eventually(lambda: feed.newest(ann.id), lambda newest: newest == 6))
    with connect(f"{socket_url}?lastEventId=1", additional_headers=poor) as socket:
        told(socket)
        assert (told(socket)["event"]) == "user.updated"
    with connect(f"{socket_url}?lastEventId=1", additional_headers=rich) as socket:
        told(socket)
        assert [told(socket)["event"] for _ in range(5)] == [*money, "user.updated"]


def test_a_number_that_was_never_given_out_begins_with_what_comes(
    client: httpx2.Client, ann: Person, socket_url: str
) -> None:
    """A restored database is behind what its clients heard."""
    for number in (1_000_000, 2**63 - 1):
        with connect(f"{socket_url}?lastEventId={number}", additional_headers=ann.headers) as socket:
            newest = told(socket)["data"]["lastEventId"]
            renamed(client, ann, f"Anna{newest}")
            assert told(socket)["id"] == newest + 1


@pytest.mark.parametrize("number", ["-1", str(2**63), "x"])
def test_what_is_no_number_is_refused(ann: Person, socket_url: str, number: str) -> None:
    url = f"{socket_url}?lastEventId={number}"
    with pytest.raises((InvalidStatus, ConnectionClosed)), connect(url, additional_headers=ann.headers) as socket:
        told(socket)


def unavailable(*_: object, **__: object) -> None:
    raise DatabaseUnavailable("Gone for a moment.")


def test_a_feed_that_fails_is_closed_so_that_the_client_comes_back(
    ann: Person, socket_url: str, aihub_server: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(aihub_server.services.live, "after", unavailable)
        with connect(f"{socket_url}?lastEventId=0", additional_headers=ann.headers) as socket:
            assert told(socket)["type"] == "connected"
            assert closed_with(socket)[0] == 1011
    with connect(f"{socket_url}?lastEventId=0", additional_headers=ann.headers) as socket:
        assert [told(socket)["type"] for _ in range(2)] == ["connected", "event"]


def test_a_session_that_cannot_be_looked_up_has_not_ended(
    ann: Person, socket_url: str, aihub_server: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    with connect(socket_url, additional_headers=ann.headers) as socket:
        told(socket)
        monkeypatch.setattr(aihub_server.services.sessions, "cached", unavailable)
        happens(aihub_server, ann, 3 * 10**9, "payment.completed")
        assert closed_with(socket)[0] == 1011


def test_so_many_connections_and_no_more(
    ann: Person, onlooker: Person, socket_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "MOST_SOCKETS", 2)
    with connect(socket_url, additional_headers=ann.headers) as first:
        told(first)
        with connect(socket_url, additional_headers=ann.headers) as second:
            told(second)
            with connect(socket_url, additional_headers=ann.headers) as third:
                code, reason = closed_with(third)
                assert code == 1008 and "2 connections" in reason
            with connect(socket_url, additional_headers=onlooker.headers) as other:
                assert told(other)["type"] == "connected"
    _until_there_is_room(socket_url, ann)


def _until_there_is_room(socket_url: str, who: Person) -> None:
    """The server hears a moment later that a connection was closed."""
    until = time.monotonic() + RECOVERS_WITHIN_SECONDS
    while time.monotonic() < until:
        with connect(socket_url, additional_headers=who.headers) as socket, suppress(ConnectionClosed):
            assert told(socket)["type"] == "connected"
            return
        time.sleep(0.5)
    raise AssertionError("no connection was counted as closed")


def test_a_stranger_is_refused(socket_url: str) -> None:
    with pytest.raises(InvalidStatus) as refused, connect(socket_url):
        pass
    assert refused.value.response.status_code == 401
    with pytest.raises(InvalidStatus), connect(f"{socket_url}?token=nonsense"):
        pass
