"""A whole installation on a real socket: services, background work and an app over them, in a thread of its own."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

from cloudyard.foundation.settings import Settings
from cloudyard.migrations.upgrade import upgrade
from cloudyard.testing.live_server import serving
from cloudyard.testing.models import default_model_files
from cloudyard.wiring import Services, open_services

Build = Callable[[Services], ASGIApp]


class Installation:
    """A running installation. `url` is its base URL; `services` live in the server's thread."""

    def __init__(self) -> None:
        self.url = ""
        self.services: Services
        self.loop: asyncio.AbstractEventLoop

    def run(self, work: Any) -> Any:
        """Await something of the services in the server's thread, and give back what it gives."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout=60)


@contextmanager
def installation(settings: Settings, build: Build) -> Iterator[Installation]:
    """Run an installation as the server does: migrated, loaded, with its administrator and background work."""
    running = Installation()
    app = _Late(settings, build, running)
    with serving(app, lifespan=True) as url:
        running.url = url
        yield running


def install_models(data_dir: Path) -> None:
    """Put the default models where an installation looks for them."""
    folder = data_dir / "models"
    folder.mkdir(parents=True, exist_ok=True)
    for file in default_model_files().values():
        shutil.copy(file, folder / file.name)


class _Late:
    """An app that is built once its services are open."""

    def __init__(self, settings: Settings, build: Build, running: Installation) -> None:
        self._settings = settings
        self._build = build
        self._running = running
        self._app: ASGIApp | None = None
        self._life = Starlette(lifespan=self._live)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or self._app is None:
            await self._life(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    @asynccontextmanager
    async def _live(self, _app: object) -> AsyncIterator[None]:
        async with open_services(self._settings) as services:
            await upgrade(services.database)
            await services.load()
            email, password = self._settings.admin_email, self._settings.admin_password
            if email is not None and password is not None:
                await services.users.ensure_admin(email, password.get_secret_value())
            services.background.start()
            self._running.services = services
            self._running.loop = asyncio.get_running_loop()
            self._app = self._build(services)
            try:
                yield
            finally:
                await services.stop()
