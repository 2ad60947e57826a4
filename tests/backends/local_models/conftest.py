"""Real models, real workers."""

import os
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from cloudyard.backends.local_models.llama_cpp import LlamaCppModels
from cloudyard.backends.model_store.default_models import MINILM, SMOLLM2
from cloudyard.backends.model_store.errors import ModelFetchFailed
from cloudyard.domains.inference.ports import LocalModel
from cloudyard.foundation.clock import SystemClock
from cloudyard.foundation.ids import SystemIds
from cloudyard.testing.models import default_model_files
from cloudyard.testing.workers import Workers, worker_pids


@pytest.fixture(scope="session")
def model_files() -> Mapping[str, Path]:
    try:
        return default_model_files()
    except ModelFetchFailed as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"The default models are not at hand: {error}")


@pytest.fixture(scope="session")
def chat_model(model_files: Mapping[str, Path]) -> LocalModel:
    return LocalModel("chat", model_files[SMOLLM2.name], context_length=512, slots=2, batch_tokens=32)


@pytest.fixture(scope="session")
def embedding_model(model_files: Mapping[str, Path]) -> LocalModel:
    return LocalModel("embed", model_files[MINILM.name], context_length=256, slots=2, batch_tokens=32, embedding=True)


@pytest.fixture
def log_folder(tmp_path: Path) -> Path:
    return tmp_path / "logs"


@pytest.fixture
async def local_models(log_folder: Path) -> AsyncIterator[LlamaCppModels]:
    models = LlamaCppModels(log_folder, SystemClock(), SystemIds())
    yield models
    await models.close()


@pytest.fixture
def own_workers() -> Workers:
    """Finds the workers that the test started: servers of other tests in this process may have some, too."""
    before = set(worker_pids())
    return lambda: [pid for pid in worker_pids() if pid not in before]
