"""Real local models for the tests of faults: which there are, and their files."""

import shutil
from pathlib import Path

from cloudyard.backends.model_store.default_models import MINILM, SMOLLM2
from cloudyard.testing.models import default_model_files

CHAT, EMBEDDING = "small", "vectors"
CHAT_FILE = "small.gguf"

MODELS = f"""
[inference.models.{CHAT}]
context_length = 1024
max_output_tokens = 512
deployments = [{{ name = "local", kind = "local", path = "{CHAT_FILE}" }}]

[inference.models.{EMBEDDING}]
kind = "embedding"
context_length = 512
deployments = [{{ name = "local", kind = "local", path = "vectors.gguf" }}]

[[billing.prices."model:{CHAT}"]]
meter = "output_token"
usd = "0.001"

[[billing.prices."model:{EMBEDDING}"]]
meter = "input_token"
usd = "0"
"""


def whole_chat_file() -> Path:
    """A chat model's file as it should be."""
    return default_model_files()[SMOLLM2.name]


def put_chat_model(data_dir: Path, source: Path) -> None:
    """Have the chat model's file be a copy of `source`, at once and whole, as a careful administrator does it."""
    folder = data_dir / "models"
    folder.mkdir(exist_ok=True)
    shutil.copy(source, folder / "arriving")
    (folder / "arriving").replace(folder / CHAT_FILE)


def put_embedding_model(data_dir: Path) -> None:
    """Have the embedding model's file."""
    folder = data_dir / "models"
    folder.mkdir(exist_ok=True)
    (folder / "vectors.gguf").symlink_to(default_model_files()[MINILM.name])
