"""Fuzzing a running surface by its own OpenAPI document."""

import os
import re
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
TIMEOUT_SECONDS = 300


def fuzz(
    document_url: str,
    directory: Path,
    *,
    key: str,
    examples: int,
    logins: Collection[str] = (),
    without: Collection[str] = (),
) -> None:
    """Run schemathesis in a process of its own, with an API key.

    AssertionError with its report if it found a fault, or if the key was refused anywhere but in `logins`,
    which take a credential of their own. Paths in `without` are left out: what is not configured answers 503.
    """
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", document_url, "-H", f"Authorization: Bearer {key}"),
        *("--checks", CHECKS, "--max-examples", str(examples), "--phases", "examples,coverage,fuzzing"),
        *(part for path in without for part in ("--exclude-path", path)),
        *("--seed", "1", "--no-color", "--request-timeout", "20", "--suppress-health-check", "all"),
    ]
    environment = {**os.environ, "PYTHONWARNINGS": "default"}
    done = subprocess.run(  # noqa: S603 - our own command
        command, cwd=directory, env=environment, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False
    )
    if done.returncode != 0 or _refused(done.stdout) - set(logins):
        raise AssertionError(f"schemathesis found faults:\n{done.stdout}\n{done.stderr}")


def _refused(report: str) -> set[str]:
    """The paths that answered nothing but 401 or 403."""
    _, _, section = report.partition("Authentication failed:")
    listed, _, _ = section.partition("\n\N{ELECTRIC LIGHT BULB}")
    return set(re.findall(r"^ +- [A-Z]+ (\S+)$", listed, re.MULTILINE))
