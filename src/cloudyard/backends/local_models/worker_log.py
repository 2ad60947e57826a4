"""Where a worker writes its log: one file a model, started anew at every start, the one before it kept."""

import re
from pathlib import Path
from typing import BinaryIO

TAIL_BYTES = 4096
SHOWN_LINES = 3


def log_path(folder: Path, model_name: str) -> Path:
    """The log file of a model; characters that mean something in a path are replaced."""
    return folder / f"worker-{re.sub(r'[^A-Za-z0-9_.-]', '_', model_name)}.log"


def open_rotated(path: Path) -> BinaryIO:
    """Open `path` empty, after moving what it held to `path`.1."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        path.replace(path.with_name(path.name + ".1"))
    return path.open("ab")


def last_errors(path: Path) -> str:
    """The last lines that llama.cpp marked as errors (`E`), else the very last lines; empty when there is none."""
    with path.open("rb") as file:
        file.seek(max(path.stat().st_size - TAIL_BYTES, 0))
        lines = [line for line in file.read().decode(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"[\d.]+ E ", line)]
    return " | ".join((errors or lines)[-SHOWN_LINES:])
