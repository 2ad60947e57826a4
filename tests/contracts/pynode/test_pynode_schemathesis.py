"""Requests that the OpenAPI description allows, and many that it does not, against the running surface."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from cloudyard.entrypoints.application import build_application
from cloudyard.foundation.settings import Profile, Settings
from cloudyard.testing.fuzzing import fuzz
from cloudyard.testing.installation import Installation, installation
from cloudyard.testing.upstream import Upstream, running_upstream


@pytest.fixture(scope="session")
def upstream() -> Iterator[Upstream]:
    """A quick model, so that hundreds of chats can be had; in a thread of its own."""
    ready, stop, found = threading.Event(), asyncio.Event(), list[Upstream]()
    loop = asyncio.new_event_loop()

    async def run() -> None:
        async with running_upstream() as upstream:
            found.append(upstream)
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),), daemon=True)
    thread.start()
    assert ready.wait(20)
    yield found[0]
    loop.call_soon_threadsafe(stop.set)
    thread.join(20)
    loop.close()


@pytest.fixture(scope="session")
def unlimited(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Installation]:
    deployment = {"name": "quick", "kind": "openai", "base_url": upstream.base_url}
    model = {"context_length": 100_000, "deployments": [deployment]}
    free = [{"meter": "input_token", "usd": "0"}, {"meter": "output_token", "usd": "0"}]
    configured = Settings(
        profile=Profile.DEVELOPMENT,
        data_dir=tmp_path_factory.mktemp("schemathesis"),
        limits={"enabled": False},
        inference={"default_models": False, "models": {"quick": model}, "default_chat_model": "quick"},
        billing={"prices": {"model:quick": free}},
        files={"max_file_bytes": 100_000},
    )
    with installation(configured, build_application) as running:
        yield running


def test_the_surface_keeps_to_its_own_description(unlimited: Installation, tmp_path: Path) -> None:
    document = f"{unlimited.url}/pynode/openapi.json"
    body = {"email": "schema@example.com", "password": "Correct horse 7!", "name": "Schema"}
    user = httpx2.post(f"{unlimited.url}/pynode/api/auth/register", json=body, timeout=30).json()["user"]
    _, key = unlimited.run(unlimited.services.api_keys.create(user["id"], name="fuzzing"))
    logins = ["/api/auth/login", "/api/auth/refresh"]
    fuzz(document, tmp_path, key=key, examples=15, logins=logins)
