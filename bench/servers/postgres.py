"""A PostgreSQL cluster of our own, every durability setting at its default (fsync on)."""

import getpass
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.console import BenchError, say
from support.processes import free_port, running, wait_until_ready
from support.setup import ensure_postgresql

UNPRIVILEGED = "nobody"
"""PostgreSQL refuses to run as root; this user then runs it."""
CONNECTIONS = 300


@dataclass(frozen=True, slots=True)
class Postgres:
    """A running cluster."""

    programs: Path
    port: int
    superuser: str

    def url(self, database: str) -> str:
        """SQLAlchemy's URL for asyncpg."""
        return f"postgresql+asyncpg://{self.superuser}@127.0.0.1:{self.port}/{database}"

    def run(self, program: str, *arguments: str) -> str:
        """Run one of PostgreSQL's programs against the cluster; returns what it printed."""
        command = [str(self.programs / program), *arguments]
        env = {**os.environ, "PGHOST": "127.0.0.1", "PGPORT": str(self.port), "PGUSER": self.superuser}
        done = subprocess.run(command, env=env, capture_output=True, text=True)
        if done.returncode != 0:
            raise BenchError(f"`{' '.join(command)}` ended with status {done.returncode}: {done.stderr[-2000:]}")
        return done.stdout


@contextmanager
def postgres(directory: Path) -> Iterator[Postgres]:
    """Make and run a cluster under the directory until the block ends."""
    programs = ensure_postgresql()
    user = UNPRIVILEGED if os.geteuid() == 0 else None
    superuser, port = user or getpass.getuser(), free_port()
    home = directory / "postgres"
    home.mkdir()
    if user:
        _give_to(home, user)
    data = home / "data"
    say(f"starting PostgreSQL from {programs}")
    _initialise(programs, data, user)
    command: list[str | Path] = [programs / "postgres", "-D", data, "-k", home, "-p", str(port)]
    command += ["-c", "listen_addresses=127.0.0.1", "-c", f"max_connections={CONNECTIONS}"]
    with running(command, title="PostgreSQL", log=directory / "postgres.log", user=user, cwd=home) as server:
        ready = [str(programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
        wait_until_ready(server, lambda: subprocess.run(ready).returncode == 0, 60)
        cluster = Postgres(programs, port, superuser)
        _check_durable(cluster)
        yield cluster


def _give_to(home: Path, user: str) -> None:
    subprocess.run(["chown", user, str(home)], check=True)


def _initialise(programs: Path, data: Path, user: str | None) -> None:
    command = [str(programs / "initdb"), "-D", str(data), "--auth=trust", "--encoding=UTF8", "--locale=C"]
    done = subprocess.run(command, user=user, cwd=data.parent, capture_output=True, text=True)
    if done.returncode != 0:
        raise BenchError(f"initdb ended with status {done.returncode}: {done.stderr[-2000:]}")


def _check_durable(cluster: Postgres) -> None:
    settings = cluster.run("psql", "-d", "postgres", "-At", "-c", "show fsync", "-c", "show synchronous_commit")
    if settings.split() != ["on", "on"]:
        raise BenchError(f"PostgreSQL does not run with its durable defaults (fsync, synchronous_commit): {settings}")
