"""A real server in a process of its own."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cloudyard.testing.installation import install_models

PATIENCE_SECONDS = 120
LOG_TAIL = 3000


@dataclass(frozen=True, slots=True)
class RunningServer:
    """Where a server is, and where its data lies."""

    url: str
    data_dir: Path
    pid: int


def clean_environment() -> dict[str, str]:
    """The environment without the settings of this machine's own Cloudyard."""
    return {name: value for name, value in os.environ.items() if not name.startswith("CLOUDYARD_")}


@contextmanager
def running_server(data_dir: Path, *options: str) -> Iterator[RunningServer]:
    """`cloudyard serve` on a free port with the default models; stopped by SIGTERM, which it must end well after."""
    install_models(data_dir)
    command = [sys.executable, "-m", "cloudyard", "serve", "--port", "0", "--data-dir", str(data_dir), *options]
    log = data_dir / "server.log"
    with log.open("w") as output:
        process = subprocess.Popen(  # noqa: S603 - our own program
            command, stdout=subprocess.PIPE, stderr=output, text=True, env=clean_environment()
        )
    try:
        yield RunningServer(_url_in_banner(process, log), data_dir, process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE_SECONDS)
        if process.stdout is not None:
            process.stdout.close()
    if process.returncode != 0:
        raise AssertionError(f"the server ended with status {process.returncode}: {_tail(log)}")


def _url_in_banner(process: "subprocess.Popen[str]", log: Path) -> str:
    """The address that a starting server says; it says it once it answers."""
    for line in process.stdout or ():
        found = re.search(r"address\s+(http://\S+)", line)
        if found:
            return found[1]
    raise AssertionError(f"the server ended before it was ready: {_tail(log)}")


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-LOG_TAIL:]
