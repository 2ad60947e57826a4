"""The load generator: wrk, keep-alive connections, one fixed request."""

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from support.console import BenchError

SCRIPT = Path(__file__).with_name("load.lua")
TIMEOUT_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Target:
    """Where a gateway under test takes chat completions, and the headers its clients send."""

    name: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Load:
    """What one run of wrk measured; latencies in milliseconds."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float

    @property
    def per_second(self) -> float:
        """Answers a second."""
        return self.requests / self.seconds


def drive(target: Target, body: str, *, connections: int, seconds: int, expect: str | None = None) -> Load:
    """Send the request over and over for some seconds.

    With `expect`, each answer must be a 200 that contains the text; this costs the generator time, so
    it is for warming up and not for measuring. Raises BenchError when a single request failed.
    """
    command = ["wrk", "--threads", "1", "--connections", str(connections), "--duration", f"{seconds}s"]
    command += ["--timeout", f"{TIMEOUT_SECONDS}s", "--script", str(SCRIPT)]
    for name, value in target.headers.items():
        command += ["--header", f"{name}: {value}"]
    env = {**os.environ, "BENCH_BODY": body} | ({"BENCH_EXPECT": expect} if expect else {})
    done = subprocess.run([*command, target.url], env=env, capture_output=True, text=True)
    if done.returncode != 0:
        raise BenchError(f"wrk against {target.name} ended with status {done.returncode}: {done.stderr.strip()}")
    return _read(target.name, done.stdout)


def _read(name: str, output: str) -> Load:
    line = next((line for line in output.splitlines() if line.startswith("RESULT ")), None)
    if line is None:
        raise BenchError(f"wrk against {name} printed no result:\n{output}")
    result: dict[str, int] = json.loads(line.removeprefix("RESULT "))
    faults = {key: result[key] for key in ("bad_status", "socket_errors", "wrong") if result[key]}
    if faults or not result["requests"]:
        raise BenchError(f"{name} failed some of {result['requests']} requests under load: {faults}")
    return Load(
        requests=result["requests"],
        seconds=result["microseconds"] / 1e6,
        p50_ms=result["p50_us"] / 1000,
        p99_ms=result["p99_us"] / 1000,
    )
