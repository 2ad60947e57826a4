"""Documents of applications over real TLS: small ones, from checked addresses, and nothing else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from cloudyard.backends.client_documents import HttpClientDocuments
from cloudyard.backends.client_documents.http import AT_ONCE
from cloudyard.domains.identity import ClientDocumentUnavailable
from cloudyard.foundation.outbound_addresses import AddressRules
from cloudyard.testing.self_signed import SelfSigned, self_signed

LOOPBACK = AddressRules("oauth", allow_loopback=False, allowed_networks=["127.0.0.0/8"])
PUBLIC = AddressRules("oauth", allow_loopback=False)
JSON = "application/json"


async def good(_request: web.Request) -> web.Response:
    return web.Response(body=b'{"a": 1}', content_type=JSON)


async def moved(_request: web.Request) -> web.Response:
    raise web.HTTPFound("/good")


async def large(_request: web.Request) -> web.Response:
    return web.Response(body=b" " * 16_385, content_type=JSON)


async def endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": JSON})
    await response.prepare(request)
    while True:
        await response.write(b" " * 4096)


async def html(_request: web.Request) -> web.Response:
    return web.Response(text="<p>", content_type="text/html")


ASKED = web.AppKey("asked", list[str])


async def silent(request: web.Request) -> web.Response:
    request.app[ASKED].append(request.path)
    await asyncio.Event().wait()
    raise AssertionError


@asynccontextmanager
async def server(certificate: SelfSigned, asked: list[str]) -> AsyncIterator[str]:
    app = web.Application()
    app[ASKED] = asked
    for handler in (good, moved, large, endless, html, silent):
        app.router.add_get(f"/{handler.__name__}", handler)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=certificate.server_context()).start()
    try:
        yield f"https://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.fixture
def asked_silent() -> list[str]:
    """The requests that the server leaves without an answer."""
    return []


@pytest.fixture
async def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked_silent: list[str]) -> AsyncIterator[str]:
    certificate = self_signed(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.path))
    async with server(certificate, asked_silent) as url:
        yield url


@asynccontextmanager
async def reader(rules: AddressRules, timeout: float = 5.0) -> AsyncIterator[HttpClientDocuments]:
    documents = HttpClientDocuments(rules.check_address, timeout_seconds=timeout)
    try:
        yield documents
    finally:
        await documents.close()


async def test_a_document_is_read(url: str) -> None:
    async with reader(LOOPBACK) as documents:
        assert await documents.read(f"{url}/good") == b'{"a": 1}'


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ("moved", "status 302"),
        ("nothing", "status 404"),
        ("large", "larger than 16384"),
        ("endless", "larger than 16384"),
        ("html", "text/html and not JSON"),
    ],
)
async def test_what_is_no_small_document_is_refused(url: str, page: str, said: str) -> None:
    async with reader(LOOPBACK) as documents:
        with pytest.raises(ClientDocumentUnavailable, match=said):
            await documents.read(f"{url}/{page}")


async def test_a_server_that_says_nothing_is_not_waited_for(url: str) -> None:
    async with reader(LOOPBACK, timeout=0.3) as documents:
        with pytest.raises(ClientDocumentUnavailable, match="did not answer"):
            await documents.read(f"{url}/silent")


async def test_the_wait_for_a_free_place_ends_too(url: str, asked_silent: list[str]) -> None:
    wanted = 3 * AT_ONCE
    async with reader(LOOPBACK, timeout=0.5) as documents:
        await documents.read(f"{url}/good")
        reads = [documents.read(f"{url}/silent") for _ in range(wanted)]
        ends = await asyncio.gather(*reads, return_exceptions=True)
        assert all(isinstance(end, ClientDocumentUnavailable) for end in ends)
        assert len(asked_silent) < wanted, "the last were not waited for until their turn came"
        assert await documents.read(f"{url}/good") == b'{"a": 1}'


async def test_our_own_network_is_out_of_reach(url: str) -> None:
    async with reader(PUBLIC) as documents:
        for address in (f"{url}/good", url.replace("127.0.0.1", "localhost") + "/good", "https://169.254.169.254/x"):
            with pytest.raises(ClientDocumentUnavailable, match="public internet"):
                await documents.read(address)


async def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    async with server(self_signed(tmp_path), []) as url, reader(LOOPBACK) as documents:
        with pytest.raises(ClientDocumentUnavailable, match="cannot be reached"):
            await documents.read(f"{url}/good")


async def test_nobody_there(url: str) -> None:
    async with reader(LOOPBACK) as documents:
        with pytest.raises(ClientDocumentUnavailable, match="cannot be reached"):
            await documents.read("https://127.0.0.1:1/x")
