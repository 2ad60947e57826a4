"""The machine a table was made on."""

import datetime
import importlib.metadata
import os
import platform
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

FLUSH_SECONDS = 2.0
FLUSH_BYTES = 4096


def describe(directory: Path) -> dict[str, str]:
    """Processor, memory, system, and how many flushes a second the disk under `directory` makes."""
    load = os.getloadavg()[0]
    return {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": f"{platform.freedesktop_os_release()['PRETTY_NAME']}, Linux {platform.release()}",
        "disk": f"{_file_system(directory)}, {flushes_per_second(directory):.0f} fdatasync/s",
        "load before the bench": f"{load:.1f}",
        "cloudyard": importlib.metadata.version("cloudyard"),
        "python": platform.python_version(),
    }


def flushes_per_second(directory: Path) -> float:
    """Appends of 4 KiB, each followed by fdatasync, a second."""
    probe = directory / "flush-probe"
    handle = os.open(probe, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    count, begun = 0, time.perf_counter()
    try:
        while time.perf_counter() - begun < FLUSH_SECONDS:
            os.write(handle, b"\0" * FLUSH_BYTES)
            os.fdatasync(handle)
            count += 1
        return count / (time.perf_counter() - begun)
    finally:
        os.close(handle)
        probe.unlink()


def version_of(command: Sequence[str | Path]) -> str:
    """The first line that a program prints about its version."""
    done = subprocess.run(
        [str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60
    )
    return done.stdout.strip().splitlines()[0].strip() if done.stdout.strip() else "unknown"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def _file_system(directory: Path) -> str:
    at = directory.resolve()
    mounted = [part for part in psutil.disk_partitions(all=True) if at.is_relative_to(part.mountpoint)]
    return max(mounted, key=lambda part: len(part.mountpoint)).fstype if mounted else "unknown file system"
