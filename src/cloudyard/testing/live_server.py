"""A real server on a real socket, for tests of what only shows there."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

STARTS_WITHIN_SECONDS = 20.0


@contextmanager
def serving(
    app: ASGIApp, *, lifespan: bool = False, ws: type[asyncio.Protocol] = WebSocketsSansIOProtocol
) -> Iterator[str]:
    """Serve an app on a free port of 127.0.0.1, from a thread with its own event loop; the base URL."""
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=0,
        log_config=None,
        access_log=False,
        lifespan="on" if lifespan else "off",
        ws=ws,
        timeout_graceful_shutdown=5,
    )
    server = _Server(config)
    thread = threading.Thread(target=server.run, name="test-server", daemon=True)
    thread.start()
    try:
        if not server.ready.wait(STARTS_WITHIN_SECONDS):
            raise TimeoutError("the test server did not start")
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(STARTS_WITHIN_SECONDS)


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()

    async def startup(self, sockets: object = None) -> None:
        await super().startup()
        self.ready.set()
