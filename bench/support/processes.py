"""Starting real servers, waiting for them, reading their memory, and ending every one of them."""

import os
import pwd
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from support.console import BenchError

STOP_SECONDS = 20.0
LOG_TAIL_LINES = 30
FOREIGN_SETTINGS = ("CLOUDYARD_", "LITELLM_", "DATABASE_URL")


@dataclass(frozen=True, slots=True)
class Running:
    """A server of ours: its process, what to call it in messages, and its log."""

    process: subprocess.Popen[bytes]
    title: str
    log: Path

    def resident_bytes(self) -> int:
        """Resident memory (RSS) of the process and all its descendants."""
        root = psutil.Process(self.process.pid)
        return sum(member.memory_info().rss for member in [root, *root.children(recursive=True)])


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nothing listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def working_directory(parent: Path | None) -> Iterator[Path]:
    """A directory for one run, on a real disk, removed afterwards.

    It is passable for others because PostgreSQL runs as another user when the bench runs as root.
    """
    made = Path(tempfile.mkdtemp(prefix="cloudyard-bench-", dir=parent or Path("/var/tmp")))
    made.chmod(0o711)
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


@contextmanager
def running(
    command: Sequence[str | Path],
    *,
    title: str,
    log: Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    user: str | None = None,
) -> Iterator[Running]:
    """Run a server in a session of its own; stop it and everything it started on the way out.

    Settings in the caller's environment (of Cloudyard, or a database for LiteLLM) are kept away.
    """
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(FOREIGN_SETTINGS)}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**inherited, **(env or {})},
            cwd=cwd,
            user=user,
            group=pwd.getpwnam(user).pw_gid if user else None,
            extra_groups=[] if user else None,
            start_new_session=True,
        )
    try:
        yield Running(process, title, log)
    finally:
        _stop(process)


def wait_until_ready(server: Running, ready: Callable[[], bool], seconds: float) -> None:
    """Wait until `ready` answers True.

    Raises BenchError with the end of the server's log when the process ends or the time is over.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if server.process.poll() is not None:
            raise BenchError(
                f"{server.title} ended with status {server.process.returncode} before it was ready."
                f" The end of its log:\n{tail(server.log)}"
            )
        if ready():
            return
        time.sleep(0.1)
    raise BenchError(f"{server.title} was not ready after {seconds:.0f} s. The end of its log:\n{tail(server.log)}")


def accepts_connections(port: int) -> bool:
    """Whether something accepts TCP connections on 127.0.0.1 at this port."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def tail(log: Path) -> str:
    """The last lines of a log."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:])


def _stop(process: subprocess.Popen[bytes]) -> None:
    family = _family(process.pid)
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for member in family:
        _kill(member)


def _family(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _kill(member: psutil.Process) -> None:
    try:
        member.send_signal(signal.SIGKILL)
        member.wait(STOP_SECONDS)
    except psutil.NoSuchProcess:
        return


def allow_open_files(count: int) -> None:
    """Let this process, and those that it starts, have so many files open. Raises BenchError where it must not."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= count:
        return
    if hard != resource.RLIM_INFINITY and hard < count:
        raise BenchError(f"This needs {count} open files, and the limit here is {hard}: raise it (ulimit -Hn).")
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
