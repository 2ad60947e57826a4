"""The TypeScript client's own tests and the examples in its README, run by Node.js against an installation.

They are one module because they share what is compiled: of two processes each would compile it anew under the other.
"""

import re
import uuid
from collections.abc import Mapping
from pathlib import Path

import pytest
from typescript_client import PACKAGE, Node, compile_project, websocket_options

FILES = sorted(file.name.removesuffix(".ts") for file in (PACKAGE / "test").glob("*.test.ts"))
EXAMPLES = re.findall(r"^```ts\n(.*?)^```$", (PACKAGE / "README.md").read_text(), re.DOTALL | re.MULTILINE)
CLIENT = """import { SmartAIHubClient } from '@smartaihub/client';
const client = new SmartAIHubClient({ baseURL: 'https://api.smartaihub.com', apiKey: 'your-api-key' });
void client;
"""
SECONDS_A_TEST = 120
SECONDS_A_FILE = 400


@pytest.fixture(scope="module")
def examples(node: Node, built_client: Path, environment: Mapping[str, str]) -> Path:
    """Folder of the compiled examples, which talk to the installation as somebody who exists there."""
    folder = built_client.parent / "readme"
    folder.mkdir(parents=True, exist_ok=True)
    for number, example in enumerate(EXAMPLES):
        (folder / f"example{number}.ts").write_text(_at_home(example, environment))
    compile_project(node, "tsconfig.readme.json")
    return folder


def test_there_are_tests_and_examples() -> None:
    assert len(FILES) >= 8
    assert len(EXAMPLES) >= 9


@pytest.mark.parametrize("file", FILES)
def test_file(file: str, node: Node, built_client: Path, environment: Mapping[str, str]) -> None:
    options = [*websocket_options(node), f"--test-timeout={SECONDS_A_TEST * 1000}", "--test-reporter=spec", "--test"]
    done = node.run(*options, str(built_client / f"{file}.js"), environment=environment, seconds=SECONDS_A_FILE)
    assert done.returncode == 0, done.stdout
    assert "tests 0" not in done.stdout, done.stdout


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_example(number: int, node: Node, examples: Path) -> None:
    program = str(examples / f"example{number}.js")
    done = node.run(*websocket_options(node), program, environment={}, seconds=SECONDS_A_TEST)
    assert done.returncode == 0, done.stdout


def _at_home(example: str, environment: Mapping[str, str]) -> str:
    whole = example if "new SmartAIHubClient" in example and "import" in example else CLIENT + example
    return (
        whole.replace("https://api.smartaihub.com", environment["HUB_URL"])
        .replace("your-api-key", environment["HUB_API_KEY"])
        .replace("user@example.com", f"reader-{uuid.uuid4().hex}@example.com")
    )
