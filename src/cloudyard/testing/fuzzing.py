"""Fuzzing a running surface by its own OpenAPI document."""

import os
import subprocess
import sys
from pathlib import Path

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
TIMEOUT_SECONDS = 300


def fuzz(document_url: str, directory: Path, *, headers: dict[str, str], examples: int) -> None:
    """Run schemathesis in a process of its own; AssertionError with its report if it found a fault."""
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", document_url),
        *("--checks", CHECKS, "--max-examples", str(examples), "--phases", "examples,coverage,fuzzing"),
        *("--seed", "1", "--no-color", "--request-timeout", "20", "--suppress-health-check", "all"),
    ]
    for name, value in headers.items():
        command += ["-H", f"{name}: {value}"]
    environment = {**os.environ, "PYTHONWARNINGS": "default"}
    done = subprocess.run(  # noqa: S603 - our own command
        command, cwd=directory, env=environment, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False
    )
    if done.returncode != 0:
        raise AssertionError(f"schemathesis found faults:\n{done.stdout}\n{done.stderr}")
