"""`script/up` from start to stop, in the environment that `script/test` has made."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from cloudyard.testing.free_ports import free_port
from cloudyard.testing.installation import install_models
from cloudyard.testing.server_process import clean_environment

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 240
SERVING = "Ctrl-C stops."

pytestmark = pytest.mark.skipif(
    not list((ROOT / ".venv").glob(".installed-*")) and os.environ.get("CI") != "true",
    reason="script/up would install into this environment; script/test makes one that is ready for it",
)


class Up:
    """A running `script/up`, with its output in a file."""

    def __init__(self, data_dir: Path, *words: str) -> None:
        self._data_dir = data_dir
        self._output = data_dir.with_suffix(".out")
        script = [str(ROOT / "script" / "up"), "--data-dir", str(data_dir), "--port", str(free_port()), *words]
        # Where the tests run in the background Ctrl-C is ignored, and bash heeds nothing that it found ignored.
        command = ["env", "--default-signal=INT", *script]
        with self._output.open("w") as output:
            self._process = subprocess.Popen(
                command,
                stdout=output,
                stderr=output,
                cwd=data_dir.parent,
                env=clean_environment(),
                start_new_session=True,
            )

    def said(self) -> str:
        return self._output.read_text()

    def wait_until_serving(self) -> None:
        _until(lambda: SERVING in self.said() or self._process.poll() is not None)
        assert SERVING in self.said(), self.said()

    def end(self, sign: signal.Signals) -> int:
        self._process.send_signal(sign)
        return self._process.wait(PATIENCE_SECONDS)

    def processes(self) -> list[psutil.Process]:
        """Everything that runs below the script."""
        return psutil.Process(self._process.pid).children(recursive=True)

    def leftovers(self) -> list[str]:
        """Every process that still works on the data directory."""
        found = (process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"]))
        return [" ".join(words) for words in found if str(self._data_dir) in words]


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.1)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    install_models(folder)
    return folder


def test_the_first_start_shows_everything_and_ctrl_c_leaves_nothing_behind(data_dir: Path) -> None:
    up = Up(data_dir)
    up.wait_until_serving()
    assert up.end(signal.SIGINT) == 0, up.said()
    said = up.said()
    for words in ("Administrator: admin@localhost", "shown this once", "development profile", "Ready after"):
        assert words in said, words
    assert "payments  a stand-in of Stripe" in said
    assert "Everything on this tour added up." in said
    assert "skipped" not in said
    assert said.index("finished first") < said.index("Stopped.")
    assert up.leftovers() == []

    again = Up(data_dir, "--no-tour", "--no-stripe")
    again.wait_until_serving()
    assert again.end(signal.SIGTERM) == 0, again.said()
    assert "Administrator" not in again.said()
    assert "An account" not in again.said()
    assert "Models in" not in again.said(), "they are looked at again only where something changed"
    assert "payments  none" in again.said()


def test_even_a_killed_script_leaves_no_server_behind(data_dir: Path) -> None:
    up = Up(data_dir, "--no-tour")
    up.wait_until_serving()
    running = up.processes()
    assert any("cloudyard.testing.local_stripe" in process.cmdline() for process in running)
    up.end(signal.SIGKILL)
    _until(lambda: not any(map(_is_alive, running)))
    assert up.leftovers() == []


def test_a_server_that_cannot_start_ends_the_script_with_its_reason(data_dir: Path) -> None:
    up = Up(data_dir, "--no-tour")
    up.wait_until_serving()
    up.end(signal.SIGTERM)
    (data_dir / "cloudyard.toml").write_text('[database]\nurl = "postgresql://nobody@127.0.0.1:9/none"\n')
    broken = Up(data_dir, "--no-tour")
    _until(lambda: "could not start" in broken.said() or SERVING in broken.said())
    assert broken.end(signal.SIGTERM) == 1
    assert "cloudyard: The database cannot be used" in broken.said()
