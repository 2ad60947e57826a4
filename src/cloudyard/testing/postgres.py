"""A PostgreSQL server for tests: the one named by the environment, or one started for the run."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from cloudyard.testing.free_ports import free_port

URL_VARIABLE = "CLOUDYARD_TEST_POSTGRES_URL"
INSTALLED = Path("/usr/lib/postgresql")


class PostgresMissing(Exception):
    """No PostgreSQL server is at hand."""


class PostgresServer:
    """A server of our own, running from the start. `url` names its first database."""

    def __init__(self, programs: Path, directory: Path) -> None:
        self._prefix = _not_as_root(directory)
        self._programs = programs
        self._directory = directory
        self._port = free_port()
        self._running = False
        initdb = [str(programs / "initdb"), "-D", str(directory / "data"), "--no-sync", "-U", "postgres", "-A", "trust"]
        _run([*self._prefix, *initdb])
        self.start()

    @property
    def url(self) -> str:
        """Where it is, whether it runs or not."""
        return f"postgresql://postgres@127.0.0.1:{self._port}/postgres"

    def start(self) -> None:
        """Start it; it answers when this returns."""
        options = (
            "-c fsync=off -c wal_level=minimal -c max_wal_senders=0 -c listen_addresses=127.0.0.1 "
            f"-c max_connections=300 -k {self._directory} -p {self._port}"
        )
        self._control("-w", "-l", str(self._directory / "log"), "-o", options, "start")
        self._running = True

    def stop(self) -> None:
        """End it as a crash would, connections and all. One that is stopped already stays so."""
        if self._running:
            self._control("-m", "immediate", "stop")
            self._running = False

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Connections stay, and nothing is answered: a machine that hangs, or a network that swallows packets."""
        postmaster = psutil.Process(int((self._directory / "data" / "postmaster.pid").read_text().splitlines()[0]))
        processes = [postmaster, *postmaster.children()]
        for process in processes:
            process.suspend()
        try:
            yield
        finally:
            for process in processes:
                process.resume()

    def _control(self, *words: str) -> None:
        _run([*self._prefix, str(self._programs / "pg_ctl"), "-D", str(self._directory / "data"), *words])


@contextmanager
def postgres_server() -> Iterator[str]:
    """URL of a server whose databases tests may create and drop. Raises `PostgresMissing`."""
    given = os.environ.get(URL_VARIABLE)
    if given:
        yield given
        return
    with own_postgres() as server:
        yield server.url


@contextmanager
def own_postgres() -> Iterator[PostgresServer]:
    """A server that a test may stop and start again. Raises `PostgresMissing`."""
    programs = _programs()
    directory = Path(tempfile.mkdtemp(prefix="cloudyard-postgres-"))
    try:
        server = PostgresServer(programs, directory)
        try:
            yield server
        finally:
            server.stop()
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
