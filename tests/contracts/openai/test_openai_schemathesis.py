"""Requests that the OpenAPI description allows, and many that it does not, against the running surface."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cloudyard.entrypoints.application import build_application
from cloudyard.foundation.settings import Settings
from cloudyard.testing.fuzzing import fuzz
from cloudyard.testing.installation import Installation, installation
from cloudyard.testing.upstream import Upstream, threaded_upstream

ALIASES = {"gpt-4": "quick", "text-embedding-3-small": "vectors"}  # what the examples of the description name
FREE = [{"meter": "input_token", "usd": "0"}, {"meter": "output_token", "usd": "0"}]


@pytest.fixture(scope="module")
def quick() -> Iterator[Upstream]:
    """Quick models, so that hundreds of calls can be had."""
    with threaded_upstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def unlimited(tmp_path_factory: pytest.TempPathFactory, quick: Upstream) -> Iterator[Installation]:
    there = {"deployments": [{"name": "quick", "kind": "openai", "base_url": quick.base_url}]}
    models = {"quick": {"context_length": 100_000, **there}, "vectors": {"kind": "embedding", **there}}
    settings = Settings(
        data_dir=tmp_path_factory.mktemp("schemathesis"),
        limits={"enabled": False},
        inference={"default_models": False, "models": models, "aliases": ALIASES},
        billing={"prices": {"model:quick": FREE, "model:vectors": FREE}},
        files={"max_file_bytes": 100_000},
    )
    with installation(settings, build_application) as running:
        yield running


def test_the_surface_keeps_to_its_own_description(unlimited: Installation, quick: Upstream, tmp_path: Path) -> None:
    user = unlimited.run(unlimited.services.users.register(email="schema@example.com", password="Correct horse 7!"))
    _, key = unlimited.run(unlimited.services.api_keys.create(user.id, name="fuzzing"))
    fuzz(f"{unlimited.url}/v1/openapi.json", tmp_path, key=key, examples=25)
    reached = {call.path for call in quick.calls}
    assert reached == {"/v1/chat/completions", "/v1/completions", "/v1/embeddings"}
