"""The converted embedding model computes what the published weights compute."""

import sys
from pathlib import Path

import numpy as np
import pytest

from cloudyard.backends.local_models.llama_cpp import LlamaCppModels
from cloudyard.backends.model_store.default_models import MINILM
from cloudyard.backends.model_store.errors import ConverterMissing
from cloudyard.backends.model_store.minilm_gguf import write_minilm_gguf
from cloudyard.backends.model_store.verification import sha256_of
from cloudyard.domains.inference.ports import LocalModel
from cloudyard.foundation.clock import SystemClock
from cloudyard.foundation.ids import SystemIds
from cloudyard.testing.minilm_reference import MiniLmReference
from cloudyard.testing.workers import post

TEXTS = [
    "The cat sits on the mat.",
    "A feline rests upon a rug!",
    "Quarterly revenue grew by 12%, said the CFO (again).",
    "internationalization of antidisestablishmentarianism",
    "hello",
    " ".join(["every word counts towards the mean"] * 30),
]


def test_the_bytes_are_the_same_every_time(minilm_wheel: Path, tmp_path: Path) -> None:
    write_minilm_gguf(minilm_wheel, tmp_path / "made.gguf")
    assert sha256_of(tmp_path / "made.gguf") == MINILM.sha256
    assert (tmp_path / "made.gguf").stat().st_size == MINILM.size


async def test_embeddings_match_a_computation_from_the_weights(minilm_wheel: Path, tmp_path: Path) -> None:
    path = tmp_path / MINILM.file_name
    write_minilm_gguf(minilm_wheel, path)
    reference = MiniLmReference(minilm_wheel)
    models = LlamaCppModels(tmp_path, SystemClock(), SystemIds())
    try:
        async with models.lease(LocalModel("embed", path, MINILM.context_length, 1, 32, embedding=True)) as endpoint:
            status, body = await post(endpoint, "/embeddings", {"input": TEXTS})
    finally:
        await models.close()
    assert status == 200
    similarities = [
        float(np.dot(item["embedding"], reference.embed(text))) for item, text in zip(body["data"], TEXTS, strict=True)
    ]
    assert min(similarities) > 0.9999
    assert body["usage"]["prompt_tokens"] == sum(len(reference.tokenize(text)) for text in TEXTS)


def test_without_the_converter_the_extra_is_named(
    minilm_wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(ConverterMissing, match=r"cloudyard\[local\]"):
        write_minilm_gguf(minilm_wheel, tmp_path / "made.gguf")
