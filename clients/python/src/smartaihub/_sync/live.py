"""Events as they happen, over a WebSocket that is opened again when it breaks."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from smartaihub._errors import APIConnectionError, SmartAIHubError
from smartaihub._io.synchronous import sleep
from smartaihub._live import connecting, live_event, live_url, newest_event
from smartaihub._requests import get
from smartaihub._retries import RetryPolicy
from smartaihub._sync.connection import Connection
from smartaihub._version import IDENTITY
from smartaihub.types.live import LiveEvent

RECONNECTS = 10


class Live:
    """`client.live`. Needs the extra: `pip install smartaihub-python[live]`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @contextmanager
    def events(self, *, last_event_id: int | None = None, reconnects: int = RECONNECTS) -> Iterator["LiveFeed"]:
        """What happens to the signed-in user from now on, or since the event `last_event_id` (kept for a day).

        A connection that breaks is opened again up to `reconnects` times in a row, and goes on where it stopped.
        Raises `AuthenticationError` once the session has ended.
        """
        feed = LiveFeed(self._connection, last_event_id, replace(self._connection.retries, retries=reconnects))
        try:
            feed.open()
            yield feed
        finally:
            feed.close()


class LiveFeed:
    """Events as they come: iterate over them. Store `last_event_id` to go on there another time."""

    def __init__(self, connection: Connection, last_event_id: int | None, retries: RetryPolicy) -> None:
        self.last_event_id = last_event_id
        self._connection = connection
        self._retries = retries
        self._request = get("/ws", LiveEvent)
        self._socket: ClientConnection | None = None
        self._leaving = ExitStack()
        self._closed = False

    def open(self) -> None:
        """Connect, if that is not done yet."""
        self._connected()

    def close(self) -> None:
        """Hang up."""
        self._closed = True
        self._leaving.close()

    def __iter__(self) -> Iterator[LiveEvent]:
        return self

    def __next__(self) -> LiveEvent:
        while not self._closed:
            socket = self._connected()
            try:
                event = live_event(socket.recv())
            except ConnectionClosed as error:
                self._hang_up()
                if not self._closed:
                    self._pause(APIConnectionError(f"The server hung up: {error}."), 0)
                continue
            if event is not None:
                self.last_event_id = event.id
                return event
        raise StopIteration

    def _connected(self) -> ClientConnection:
        retry = 0
        while self._socket is None:
            try:
                self._socket = self._connection.authorised(self._connect)
            except SmartAIHubError as failure:
                self._pause(failure, retry)
            retry += 1
        return self._socket

    def _connect(self, credential: Mapping[str, str]) -> ClientConnection:
        url = live_url(self._connection.base_url, self.last_event_id)
        with ExitStack() as leaving:
            with connecting():
                opening = connect(url, additional_headers=credential, user_agent_header=IDENTITY["User-Agent"])
                socket = leaving.enter_context(opening)
                newest = newest_event(socket.recv())
            self._leaving = leaving.pop_all()
        if self.last_event_id is None:
            self.last_event_id = newest
        return socket

    def _hang_up(self) -> None:
        self._socket = None
        self._leaving.close()

    def _pause(self, failure: SmartAIHubError, retry: int) -> None:
        seconds = self._retries.wait(self._request, failure, retry)
        if seconds is None:
            raise failure
        sleep(seconds)
