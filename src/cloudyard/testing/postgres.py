"""A PostgreSQL server for tests: the one named by the environment, or one started for the run."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

URL_VARIABLE = "CLOUDYARD_TEST_POSTGRES_URL"
INSTALLED = Path("/usr/lib/postgresql")


class PostgresMissing(Exception):
    """No PostgreSQL server is at hand."""


@contextmanager
def postgres_server() -> Iterator[str]:
    """URL of a server whose databases tests may create and drop. Raises `PostgresMissing`."""
    given = os.environ.get(URL_VARIABLE)
    if given:
        yield given
        return
    programs = _programs()
    directory = Path(tempfile.mkdtemp(prefix="cloudyard-postgres-"))
    try:
        yield from _started(programs, directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _programs() -> Path:
    found = sorted(INSTALLED.glob("*/bin/initdb"))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    if on_path is None:
        raise PostgresMissing(f"install PostgreSQL, or name a running server in {URL_VARIABLE}")
    return Path(on_path).parent


def _started(programs: Path, directory: Path) -> Iterator[str]:
    prefix = _not_as_root(directory)
    data = directory / "data"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    _run([*prefix, str(programs / "initdb"), "-D", str(data), "--no-sync", "-U", "postgres", "-A", "trust"])
    options = (
        "-c fsync=off -c wal_level=minimal -c max_wal_senders=0 -c listen_addresses=127.0.0.1 "
        f"-c max_connections=300 -k {directory} -p {port}"
    )
    log = str(directory / "log")
    _run([*prefix, str(programs / "pg_ctl"), "-D", str(data), "-w", "-l", log, "-o", options, "start"])
    try:
        yield f"postgresql://postgres@127.0.0.1:{port}/postgres"
    finally:
        _run([*prefix, str(programs / "pg_ctl"), "-D", str(data), "-m", "immediate", "stop"])


def _not_as_root(directory: Path) -> list[str]:
    """PostgreSQL refuses to run as root: hand the directory to `nobody`."""
    if os.geteuid() != 0:
        return []
    shutil.chown(directory, "nobody")
    return ["runuser", "-u", "nobody", "--"]


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")  # noqa: S603 - our own words
    if done.returncode:
        raise PostgresMissing(f"{command[-1]} failed: {done.stderr.strip()}")
