"""The server: services opened, database brought up to date, surfaces served, everything drained at the end."""

import asyncio
import gc
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

import structlog
import uvicorn

from cloudyard.entrypoints.application import build_application
from cloudyard.entrypoints.http_protocol import HttpProtocol
from cloudyard.entrypoints.listening import listen
from cloudyard.entrypoints.surfaces import CLASSIC_PORTS
from cloudyard.entrypoints.websocket_protocol import WebSocketProtocol
from cloudyard.foundation.settings import Settings
from cloudyard.foundation.telemetry import configure_logging
from cloudyard.foundation.urls import http_url
from cloudyard.migrations.upgrade import upgrade
from cloudyard.wiring import Services, open_services

log = structlog.get_logger(__name__)

GARBAGE_THRESHOLDS = (20_000, 20, 50)
"""New objects until the young ones are looked through, and rounds until the older ones are (`gc.set_threshold`)."""

TICK_SECONDS = 1.0
"""How often uvicorn's chores are done: the Date header of answers."""

Ready = Callable[[str], None]


class _Server(uvicorn.Server):
    """Says when it is ready, and when it begins to stop. Begins as soon as it is told to."""

    def __init__(
        self, config: uvicorn.Config, when_ready: Callable[[], None], when_stopping: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._when_ready = when_ready
        self._when_stopping = when_stopping
        self._loop = asyncio.get_running_loop()
        self._told = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen, then report."""
        await super().startup(sockets)
        _collect_garbage_seldom()
        if not self.should_exit:
            self._when_ready()

    async def main_loop(self) -> None:
        """Wait for the signal, which uvicorn looks for ten times a second."""
        while not await self.on_tick(0):
            with suppress(TimeoutError):
                async with asyncio.timeout(TICK_SECONDS):
                    await self._told.wait()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal has come."""
        super().handle_exit(sig, frame)
        self._loop.call_soon_threadsafe(self._told.set)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Report, then take nothing new and wait for what is open."""
        self._when_stopping()
        await super().shutdown(sockets)
        for task in self.server_state.tasks:  # told twice: end them, so that they are settled as far as they got
            task.cancel("the server was told to stop at once")

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn's, but the signal is not raised again at the end: it would end the process before the services."""
        with super().capture_signals():
            yield
            self._captured_signals.clear()


def _collect_garbage_seldom() -> None:
    """A call leaves next to no cycles, but makes enough objects to have Python look for some at every call, which
    takes a quarter of the time that it costs: what is there at start is never looked at again, the rest seldom."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GARBAGE_THRESHOLDS)


async def serve(settings: Settings, when_ready: Ready = lambda url: None) -> None:
    """Serve until asked to stop (SIGINT or SIGTERM), then drain. `when_ready` gets the base URL.

    Raises `PortUnavailable`, `MigrationFailed`, `DatabaseUnavailable`, `SecretUnreadable` or what `open_services`
    raises if it cannot start.
    """
    configure_logging(settings.telemetry)
    sockets = listen(settings.server, CLASSIC_PORTS)
    url = http_url(settings.server.host, sockets[0].getsockname()[1])
    async with open_services(settings) as services:
        if await upgrade(services.database):
            log.info("database brought up to date", database=services.database.dialect)
        await services.load()
        await services.signing_keys.current()  # better no start than a server that nobody can log in to
        await _ensure_admin(services)
        config = _config(build_application(services), settings)
        server = _Server(config, lambda: when_ready(url), services.ending.set)
        services.background.start()
        try:
            await _start_models(services)
            log.info("serving", url=url, profile=settings.profile.value)
            await server.serve(sockets=list(sockets))
        finally:
            log.info("stopping")
            await services.stop()


def _config(app: object, settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        app,  # type: ignore[arg-type]
        loop="uvloop",
        http=HttpProtocol,
        ws=WebSocketProtocol,
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        ws_max_size=settings.server.max_body_bytes,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=int(settings.server.drain_seconds),
    )


async def _ensure_admin(services: Services) -> None:
    email, password = services.settings.admin_email, services.settings.admin_password
    if email and password and await services.users.ensure_admin(email, password.get_secret_value()):
        log.info("administrator created", email=email)


async def _start_models(services: Services) -> None:
    """Load local models ahead of their first use; one that is missing is only reported: it may come later."""
    if not services.settings.inference.start_at_boot:
        return
    for local in services.catalogue.local_models():
        if await asyncio.to_thread(local.path.is_file):
            await services.local_models.start(local)
        else:
            log.warning("model file missing", model=local.name, path=str(local.path))
