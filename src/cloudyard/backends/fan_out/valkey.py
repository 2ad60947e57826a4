"""Fan-out through Valkey or Redis: one subscription a process, whatever it listens to."""

import asyncio
from contextlib import AbstractAsyncContextManager

import redis.asyncio as redis
import structlog
from redis.exceptions import RedisError

from cloudyard.backends.fan_out.memory import MemoryFanOut
from cloudyard.foundation.clock import Clock
from cloudyard.foundation.fan_out import Listener

log = structlog.get_logger(__name__)

CHANNEL = "cloudyard:fan-out"
TIMEOUT_SECONDS = 1.0
PAUSE_SECONDS = 1.0
HEALTH_CHECK_SECONDS = 10
"""A connection that broke without a word is noticed by this."""
SEPARATOR = b"\x00"


class ValkeyFanOut:
    """Messages go to the server and come back to every process, this one included."""

    name = "valkey"

    def __init__(self, url: str, clock: Clock) -> None:
        self._clock = clock
        self._here = MemoryFanOut()
        self._server = redis.Redis.from_url(
            url,
            socket_connect_timeout=TIMEOUT_SECONDS,
            socket_keepalive=True,
            health_check_interval=HEALTH_CHECK_SECONDS,
        )
        self._subscribed = asyncio.Event()
        self._reading: asyncio.Task[None] | None = None

    async def publish(self, topic: str, message: bytes) -> None:
        """Tell everyone who listens now, in every process; only here while the server cannot be reached."""
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                await self._server.publish(CHANNEL, topic.encode() + SEPARATOR + message)
        except (RedisError, OSError, TimeoutError) as error:
            log.warning("message not fanned out", topic=topic, reason=str(error) or type(error).__name__)
            self._here.deliver(topic, message)

    def listen(self, topic: str) -> AbstractAsyncContextManager[Listener]:
        """Listen for as long as the context lasts."""
        if self._reading is None:
            self._reading = asyncio.create_task(self._read(), name="fan-out")
        return self._here.listen(topic)

    async def subscribed(self) -> None:
        """Return once messages of other processes are heard."""
        await self._subscribed.wait()

    async def close(self) -> None:
        """Let go of every connection."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        await self._server.aclose()

    async def _read(self) -> None:
        """Hear what comes. After a break everyone is told that something may have been missed."""
        while True:
            try:
                await self._read_until_broken()
            except (RedisError, OSError) as error:
                log.warning("fan-out is cut off", reason=str(error) or type(error).__name__)
            self._subscribed.clear()
            await self._clock.sleep(PAUSE_SECONDS)

    async def _read_until_broken(self) -> None:
        async with self._server.pubsub(ignore_subscribe_messages=False) as channel:
            await channel.subscribe(CHANNEL)
            while True:
                message = await channel.get_message(timeout=HEALTH_CHECK_SECONDS)
                if message is None:
                    continue
                if message["type"] == "subscribe":
                    self._subscribed.set()
                    self._here.missed()
                elif message["type"] == "message":
                    topic, _, body = message["data"].partition(SEPARATOR)
                    self._here.deliver(topic.decode(errors="replace"), body)  # it may be none of ours
