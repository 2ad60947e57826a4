from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import msgspec
import pytest
from starlette.types import Receive, Scope, Send

from cloudyard.foundation.ids import SystemIds
from cloudyard.testing.live_server import serving
from cloudyard.web.mount import Mount, SurfaceRouter
from cloudyard.web.visit import path_below


class Said:
    """An app that says where it was reached."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        seen = {"app": self.name, "root": scope.get("root_path", ""), "below": path_below(scope)}
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": msgspec.json.encode(seen)})


MOUNTS = [Mount("pynode", "/pynode", Said("pynode")), Mount("openai", "/v1", Said("openai"))]


def router(**options: Any) -> SurfaceRouter:
    return SurfaceRouter(MOUNTS, SystemIds(), front=Said("front"), **options)


async def ask(app: SurfaceRouter, url: str) -> dict[str, str]:
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app)) as client:
        answer: dict[str, str] = (await client.get(url)).json()
        return answer


@pytest.mark.parametrize(
    ("path", "app", "root", "below"),
    [
        ("/pynode/api/chat", "pynode", "/pynode", "/api/chat"),
        ("/pynode", "pynode", "/pynode", "/"),
        ("/pynode/", "pynode", "/pynode", "/"),
        ("/v1/chat/completions", "openai", "/v1", "/chat/completions"),
        ("/", "front", "", "/"),
    ],
)
async def test_the_first_segment_chooses_the_surface(path: str, app: str, root: str, below: str) -> None:
    assert await ask(router(), f"http://any{path}") == {"app": app, "root": root, "below": below}


@pytest.mark.parametrize("path", ["/nothing", "/pynodex/api", "/PYNODE/x", "//pynode"])
async def test_an_unknown_prefix_is_told_which_there_are(path: str) -> None:
    problem: Any = await ask(router(), f"http://any{path}")
    assert problem["status"] == 404
    assert problem["details"]["surfaces"] == {"pynode": "/pynode", "openai": "/v1"}


@pytest.mark.parametrize("host", ["py.example", "PY.example:8443"])
async def test_a_host_name_chooses_a_surface(host: str) -> None:
    by_host = router(hosts={"py.example": "pynode"})
    assert await ask(by_host, f"http://{host}/api/chat") == {"app": "pynode", "root": "", "below": "/api/chat"}
    assert (await ask(by_host, f"http://{host}/pynode/api/chat"))["below"] == "/api/chat"
    assert (await ask(by_host, f"http://{host}/v1/models"))["app"] == "pynode"
    assert (await ask(by_host, "http://other/v1/models"))["app"] == "openai"


async def test_a_port_chooses_a_surface() -> None:
    by_port = router(ports={3000: "pynode"})
    assert await ask(by_port, "http://any:3000/api/chat") == {"app": "pynode", "root": "", "below": "/api/chat"}
    assert (await ask(by_port, "http://any:8000/"))["app"] == "front"


def test_a_surface_that_is_not_there_cannot_be_chosen() -> None:
    with pytest.raises(KeyError):
        router(hosts={"x.example": "nobody"})


def test_the_server_lives_once_for_all_surfaces() -> None:
    happened: list[str] = []

    @asynccontextmanager
    async def life(_app: Any) -> AsyncIterator[None]:
        happened.append("started")
        yield
        happened.append("stopped")

    with serving(router(lifespan=life), lifespan=True) as url:
        assert happened == ["started"]
        assert httpx2.get(f"{url}/pynode/x").json()["app"] == "pynode"
    assert happened == ["started", "stopped"]
