"""Events as they happen, over a WebSocket that is opened again when it breaks."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from smartaihub._async.connection import AsyncConnection
from smartaihub._errors import APIConnectionError, SmartAIHubError
from smartaihub._io.asynchronous import sleep
from smartaihub._live import connecting, live_event, live_url, newest_event
from smartaihub._requests import get
from smartaihub._retries import RetryPolicy
from smartaihub._version import IDENTITY
from smartaihub.types.live import LiveEvent

RECONNECTS = 10


class AsyncLive:
    """`client.live`. Needs the extra: `pip install smartaihub-python[live]`."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    @asynccontextmanager
    async def events(
        self, *, last_event_id: int | None = None, reconnects: int = RECONNECTS
    ) -> AsyncIterator["AsyncLiveFeed"]:
        """What happens to the signed-in user from now on, or since the event `last_event_id` (kept for a day).

        A connection that breaks is opened again up to `reconnects` times in a row, and goes on where it stopped.
        Raises `AuthenticationError` once the session has ended.
        """
        feed = AsyncLiveFeed(self._connection, last_event_id, replace(self._connection.retries, retries=reconnects))
        try:
            await feed.open()
            yield feed
        finally:
            await feed.close()


class AsyncLiveFeed:
    """Events as they come: iterate over them. Store `last_event_id` to go on there another time."""

    def __init__(self, connection: AsyncConnection, last_event_id: int | None, retries: RetryPolicy) -> None:
        self.last_event_id = last_event_id
        self._connection = connection
        self._retries = retries
        self._request = get("/ws", LiveEvent)
        self._socket: ClientConnection | None = None
        self._leaving = AsyncExitStack()
        self._closed = False

    async def open(self) -> None:
        """Connect, if that is not done yet."""
        await self._connected()

    async def close(self) -> None:
        """Hang up."""
        self._closed = True
        await self._leaving.aclose()

    def __aiter__(self) -> AsyncIterator[LiveEvent]:
        return self

    async def __anext__(self) -> LiveEvent:
        while not self._closed:
            socket = await self._connected()
            try:
                event = live_event(await socket.recv())
            except ConnectionClosed as error:
                await self._hang_up()
                if not self._closed:
                    await self._pause(APIConnectionError(f"The server hung up: {error}."), 0)
                continue
            if event is not None:
                self.last_event_id = event.id
                return event
        raise StopAsyncIteration

    async def _connected(self) -> ClientConnection:
        retry = 0
        while self._socket is None:
            try:
                self._socket = await self._connection.authorised(self._connect)
            except SmartAIHubError as failure:
                await self._pause(failure, retry)
            retry += 1
        return self._socket

    async def _connect(self, credential: Mapping[str, str]) -> ClientConnection:
        url = live_url(self._connection.base_url, self.last_event_id)
        async with AsyncExitStack() as leaving:
            with connecting():
                opening = connect(url, additional_headers=credential, user_agent_header=IDENTITY["User-Agent"])
                socket = await leaving.enter_async_context(opening)
                newest = newest_event(await socket.recv())
            self._leaving = leaving.pop_all()
        if self.last_event_id is None:
            self.last_event_id = newest
        return socket

    async def _hang_up(self) -> None:
        self._socket = None
        await self._leaving.aclose()

    async def _pause(self, failure: SmartAIHubError, retry: int) -> None:
        seconds = self._retries.wait(self._request, failure, retry)
        if seconds is None:
            raise failure
        await sleep(seconds)
