"""The MCP server and its authorization server as they run: an installation on a real socket, and people who use it."""

import asyncio
import hashlib
import itertools
import json
import re
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest
from aiohttp import web
from mcp.client import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from starlette.types import ASGIApp

from cloudyard.entrypoints.application import build_application
from cloudyard.foundation.settings import Settings
from cloudyard.testing.installation import Installation, installation
from cloudyard.testing.self_signed import SelfSigned, self_signed
from cloudyard.testing.upstream import Upstream, threaded_upstream
from cloudyard.web.registration import register
from cloudyard.wiring import Services

PASSWORD = "securePassword123"
BACK = "http://127.0.0.1:41234/callback"
VERIFIER = "a-verifier-of-forty-three-characters-or-more-0"
CHALLENGE = urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")


@dataclass(frozen=True)
class Person:
    """Somebody with an account, a session, and credits."""

    id: str
    email: str
    access_token: str


def settings_for(data_dir: Path, upstream: Upstream) -> Settings:
    deployment = {"name": "upstream", "kind": "openai", "base_url": upstream.base_url}
    return Settings(
        data_dir=data_dir,
        server={"trusted_proxies": ["127.0.0.1"], "cors_origins": ["https://app.example"]},
        inference={
            "default_models": False,
            "default_chat_model": "parrot",
            "models": {"parrot": {"deployments": [deployment]}},
        },
        oauth={"allowed_networks": ["127.0.0.0/8"]},
        billing={"welcome_credits": 100, "prices": {"model:parrot": [{"meter": "output_token", "usd": "0.001"}]}},
    )


class Life:
    """The application with its own lifespan, which an installation does not run by itself."""

    def __init__(self) -> None:
        self._messages = asyncio.Queue[dict[str, Any]]()
        self._task: asyncio.Task[None]

    def build(self, services: Services) -> ASGIApp:
        application = build_application(services)
        scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
        self._messages.put_nowait({"type": "lifespan.startup"})
        self._task = asyncio.get_running_loop().create_task(application(scope, self._messages.get, _told))
        return application

    async def end(self) -> None:
        await self._messages.put({"type": "lifespan.shutdown"})
        await self._task


async def _told(_message: Any) -> None:
    return None


@pytest.fixture(scope="session")
def upstream() -> Iterator[Upstream]:
    with threaded_upstream() as upstream:
        yield upstream


class ClientDocuments:
    """A server that tells of applications, over TLS with a certificate that the tests trust."""

    def __init__(self, certificate: SelfSigned) -> None:
        self._certificate = certificate
        self._documents: dict[str, bytes] = {}
        self._numbers = itertools.count(1)
        self.url = ""

    def publish(self, document: dict[str, Any]) -> str:
        """Put a document up; the id of its application."""
        path = f"/client-{next(self._numbers)}.json"
        self._documents[path] = json.dumps({"client_id": self.url + path, **document}).encode()
        return self.url + path

    async def serve(self) -> AsyncIterator[None]:
        runner = web.AppRunner(self._app(), access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=self._certificate.server_context())
        await site.start()
        self.url = f"https://127.0.0.1:{runner.addresses[0][1]}"
        yield
        await runner.cleanup()

    def _app(self) -> web.Application:
        async def answer(request: web.Request) -> web.Response:
            return web.Response(body=self._documents[request.path], content_type="application/json")

        app = web.Application()
        app.router.add_get("/{name}", answer)
        return app


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SelfSigned]:
    """What every TLS context made from now on trusts beside what the machine trusts."""
    certificate = self_signed(tmp_path_factory.mktemp("tls"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(certificate.path))
        yield certificate


@pytest.fixture
async def client_documents(certificate: SelfSigned) -> AsyncIterator[ClientDocuments]:
    documents = ClientDocuments(certificate)
    serving = documents.serve()
    await anext(serving)
    yield documents
    async for _ in serving:
        pass


@pytest.fixture(scope="session")
def mcp_server(
    tmp_path_factory: pytest.TempPathFactory, upstream: Upstream, certificate: SelfSigned
) -> Iterator[Installation]:
    life = Life()
    with installation(settings_for(tmp_path_factory.mktemp("mcp"), upstream), life.build) as running:
        yield running
        running.run(life.end())


_people = itertools.count(1)
_addresses = itertools.count(1)


@pytest.fixture
def ann(mcp_server: Installation) -> Person:
    return new_person(mcp_server)


@pytest.fixture
def bob(mcp_server: Installation) -> Person:
    return new_person(mcp_server)


def new_person(server: Installation) -> Person:
    services = server.services

    async def open_account() -> Person:
        email = f"mcp{next(_people)}@example.com"
        user = await register(
            services.users, services.billing, email=email, password=PASSWORD, first_name="A", last_name="B"
        )
        pair = await services.sessions.start(user.id)
        return Person(user.id, email, pair.access_token)

    person: Person = server.run(open_account())
    return person


def own_address() -> dict[str, str]:
    """Headers that give a caller an address of its own, so that tests do not share limits."""
    number = next(_addresses)
    return {"X-Forwarded-For": f"198.51.{number // 250}.{number % 250 + 1}"}


@pytest.fixture
async def stranger(mcp_server: Installation) -> AsyncIterator[httpx2.AsyncClient]:
    """A client without a credential."""
    async with httpx2.AsyncClient(base_url=mcp_server.url, headers=own_address(), timeout=30) as client:
        yield client


@dataclass
class Browser:
    """A user's browser: it opens the page, fills the form in, and says where it was sent."""

    person: Person
    password: str = PASSWORD
    decision: str = "allow"
    untick: frozenset[str] = frozenset()
    headers: dict[str, str] = field(default_factory=dict)
    landed: str = ""
    asked: str = ""

    async def open(self, url: str) -> None:
        self.asked = url
        origin = "{0.scheme}://{0.netloc}".format(urlsplit(url))
        async with httpx2.AsyncClient(headers={**own_address(), "Origin": origin, **self.headers}) as http:
            page = await http.get(url)
            assert page.status_code == 200, page.text
            fields = form_fields(page.text)
            fields = [(name, value) for name, value in fields if value not in self.untick]
            fields += [("identifier", self.person.email), ("password", self.password), ("decision", self.decision)]
            answer = await http.post(origin + form_action(page.text), content=encoded(fields), headers=FORM)
            assert answer.status_code == 303, answer.text
            self.landed = answer.headers["location"]

    async def result(self) -> AuthorizationCodeResult:
        answer = dict(parse_qsl(urlsplit(self.landed).query))
        return AuthorizationCodeResult(code=answer["code"], state=answer.get("state"), iss=answer.get("iss"))


FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def parsed_query(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query))


def encoded(fields: list[tuple[str, str]] | dict[str, str]) -> bytes:
    return str(httpx2.QueryParams(fields)).encode()


def form_action(html: str) -> str:
    found = re.search(r'<form method="post" action="([^"]+)"', html)
    assert found is not None, html
    return found[1]


def form_fields(html: str) -> list[tuple[str, str]]:
    """What the form sends by itself: hidden fields and ticked boxes."""
    inputs = re.findall(r'<input type="(?:hidden|checkbox)" name="([^"]*)" value="([^"]*)"', html)
    return [(unescape(name), unescape(value)) for name, value in inputs]


class Storage:
    """What an application remembers."""

    def __init__(self) -> None:
        self.tokens: OAuthToken | None = None
        self.client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


def application(
    server: Installation, browser: Browser, storage: Storage, *, document: str | None = None
) -> OAuthClientProvider:
    """The official client's side of OAuth."""
    metadata = OAuthClientMetadata.model_validate({"redirect_uris": [BACK], "client_name": "Test tool"})
    return OAuthClientProvider(
        f"{server.url}/mcp", metadata, storage, browser.open, browser.result, client_metadata_url=document
    )


@asynccontextmanager
async def connected(
    server: Installation,
    *,
    auth: OAuthClientProvider | None = None,
    token: str | None = None,
    mode: Any = "auto",
    **options: Any,
) -> AsyncIterator[Client]:
    """The official client, let in by one or the other."""
    headers = {**own_address(), **({"Authorization": f"Bearer {token}"} if token is not None else {})}
    async with (
        httpx2.AsyncClient(headers=headers, auth=auth, timeout=60) as http,
        Client(streamable_http_client(f"{server.url}/mcp", http_client=http), mode=mode, **options) as client,
    ):
        yield client


async def called(client: Client, tool: str, **arguments: Any) -> Any:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    found = result.structured_content
    return found["result"] if found is not None and found.keys() == {"result"} else found


both_revisions = pytest.mark.parametrize(("mode", "revision"), [("auto", "2026-07-28"), ("legacy", "2025-11-25")])
