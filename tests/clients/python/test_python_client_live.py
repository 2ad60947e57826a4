"""Events as they happen, and from where they were left, over connections that break."""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

import pytest
from client_people import QUICKLY, Connect, Person
from smartaihub import APIConnectionError, APIError, AuthenticationError, RetryPolicy, UnexpectedAnswerError
from twins import Client, done, following, inside
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from cloudyard.testing.installation import Installation
from cloudyard.testing.waiting import eventually


@pytest.fixture
async def ann(join: Callable[[], Person], cloud: Installation) -> Person:
    """Ann, whose welcome notification is in her feed already: it is the first event."""
    live, person = cloud.services.live, join()
    await asyncio.to_thread(lambda: cloud.run(eventually(lambda: live.newest(person.id), bool)))
    return person


async def rename(client: Client, name: str) -> None:
    await done(client.users.update_me(first_name=name))


async def test_what_happens_is_told(anns: Client, ann: Person) -> None:
    async with inside(anns.live.events()) as feed:
        await rename(anns, "Anna")
        event = await following(feed)
        assert (event.id, event.event) == (2, "user.updated")
        assert (event.data["userId"], event.data["firstName"]) == (ann.id, "Anna")
        assert feed.last_event_id == 2


async def test_who_was_away_goes_on_where_it_stopped(anns: Client) -> None:
    for name in ("One", "Two", "Three"):
        await rename(anns, name)
    async with inside(anns.live.events(last_event_id=2)) as feed:
        assert [(await following(feed)).id for _ in range(2)] == [3, 4]
        await rename(anns, "Four")
        assert (await following(feed)).data["firstName"] == "Four"


async def test_an_access_token_that_ran_out_is_renewed(connect: Connect, ann: Person, anns: Client) -> None:
    client = await connect(tokens=ann.tokens.model_copy(update={"access_token": "stale"}))
    async with inside(client.live.events()) as feed:
        await rename(anns, "Anna")
        assert (await following(feed)).data["firstName"] == "Anna"


async def test_a_session_that_ended_is_told(connect: Connect, ann: Person, anns: Client, cloud: Installation) -> None:
    client = await connect(tokens=ann.tokens)
    async with inside(client.live.events()) as feed:
        await asyncio.to_thread(lambda: cloud.run(cloud.services.sessions.logout_all(ann.id)))
        await rename(anns, "Anna")
        with pytest.raises(AuthenticationError):
            await following(feed)


async def test_nobody_hears_anything_without_a_credential(connect: Connect) -> None:
    client = await connect()
    with pytest.raises(AuthenticationError):
        async with inside(client.live.events()):
            pass


class Feed:
    """A feed that says what it is told to and hangs up after it; `asked` has the ids it was asked to go on from."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[int | None] = []
        self.refusals: deque[HTTPStatus] = deque()
        self.speeches: deque[list[str]] = deque()

    def refuse(self, connection: ServerConnection, _request: Request) -> Response | None:
        return connection.respond(self.refusals.popleft(), "not now") if self.refusals else None

    async def speak(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        after = parse_qs(urlsplit(connection.request.path).query).get("lastEventId")
        self.asked.append(int(after[0]) if after is not None else None)
        await connection.send(json.dumps({"type": "connected", "data": {"lastEventId": 5}}))
        for message in self.speeches.popleft():
            await connection.send(message)


def told(number: int) -> str:
    event = {"id": number, "event": "user.updated", "data": {}, "timestamp": "2026-11-22T10:30:00Z", "colour": "red"}
    return json.dumps({"type": "event", **event})


@pytest.fixture
async def feed() -> AsyncIterator[Feed]:
    feed = Feed()
    async with serve(feed.speak, "127.0.0.1", 0, process_request=feed.refuse) as server:
        feed.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield feed


async def heard(twin: type[Client], feed: Feed, count: int, *, reconnects: int = 10) -> list[int]:
    """The ids of so many events, heard in a thread of its own so that the feed can speak meanwhile."""

    async def listen() -> list[int]:
        async with (
            inside(twin(feed.url, "key", retries=QUICKLY)) as client,
            inside(client.live.events(reconnects=reconnects)) as events,
        ):
            return [(await following(events)).id for _ in range(count)]

    return await asyncio.to_thread(asyncio.run, listen())


async def test_a_connection_that_breaks_is_opened_again_where_it_stopped(twin: type[Client], feed: Feed) -> None:
    feed.speeches.extend([[], [told(6), '{"type": "pong"}', told(7)], [told(8)]])
    assert await heard(twin, feed, 3) == [6, 7, 8]
    assert feed.asked == [None, 5, 7]


async def test_a_server_that_is_away_for_a_while_is_waited_for(twin: type[Client], feed: Feed) -> None:
    feed.refusals.extend([HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS])
    feed.speeches.extend([[told(6)]])
    assert await heard(twin, feed, 1) == [6]


async def test_a_server_that_stays_away_is_told(twin: type[Client], feed: Feed) -> None:
    feed.refusals.extend([HTTPStatus.SERVICE_UNAVAILABLE] * 3)
    with pytest.raises(APIError) as failed:
        await heard(twin, feed, 1, reconnects=2)
    assert failed.value.status == 503
    assert not feed.refusals


async def test_what_is_no_feed_is_told(twin: type[Client], feed: Feed) -> None:
    feed.speeches.append(["[]"])
    with pytest.raises(UnexpectedAnswerError):
        await heard(twin, feed, 1)
    feed.refusals.append(HTTPStatus.NOT_FOUND)
    with pytest.raises(APIError):
        await heard(twin, feed, 1)


async def test_nobody_there_is_a_connection_error(twin: type[Client]) -> None:
    async with inside(twin("http://127.0.0.1:1", "key", retries=RetryPolicy(first_delay=0.001))) as client:
        with pytest.raises(APIConnectionError):
            async with inside(client.live.events(reconnects=1)):
                pass
