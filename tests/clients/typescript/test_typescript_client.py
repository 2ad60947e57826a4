"""The TypeScript client's own tests, each file of them run by Node.js against an installation."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from typescript_client import PACKAGE, Node, websocket_options

FILES = sorted(file.name.removesuffix(".ts") for file in (PACKAGE / "test").glob("*.test.ts"))
SECONDS_A_TEST = 120
SECONDS_A_FILE = 400


def test_there_are_tests() -> None:
    assert len(FILES) >= 8


@pytest.mark.parametrize("file", FILES)
def test_file(file: str, node: Node, built_client: Path, environment: Mapping[str, str]) -> None:
    options = [*websocket_options(node), f"--test-timeout={SECONDS_A_TEST * 1000}", "--test-reporter=spec", "--test"]
    done = node.run(*options, str(built_client / f"{file}.js"), environment=environment, seconds=SECONDS_A_FILE)
    assert done.returncode == 0, done.stdout
    assert "tests 0" not in done.stdout, done.stdout
