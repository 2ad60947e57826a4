"""The examples of the client's README, run one after the other against a running server."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from client_people import Person
from smartaihub import SmartAIHubClient

from cloudyard.domains.webhooks.signatures import Fact, body_of, headers_of
from cloudyard.testing.installation import Installation

README = Path(__file__).parents[3] / "clients" / "python" / "README.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README.read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture
def names(cloud: Installation, admin: Person) -> Iterator[dict[str, Any]]:
    """What the examples leave behind. They are run by an administrator."""
    names: dict[str, Any] = {}
    yield names
    for value in names.values():
        if isinstance(value, SmartAIHubClient):
            value.close()


def test_every_example_runs(
    cloud: Installation, admin: Person, names: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    examples = blocks("python")
    assert len(examples) > 10
    for number, example in enumerate(examples):
        here = example.replace("https://api.smartaihub.com", f"{cloud.url}/aihub")
        here = here.replace("http://127.0.0.1:8000", cloud.url).replace("your-api-key", admin.api_key)
        exec(compile(here, f"README.md, example {number + 1}", "exec"), names)
    assert names["response"].text in capsys.readouterr().out
    assert names["stream"].cost > 0
    assert names["purchase"].status == "completed"
    receives_what_is_signed_and_nothing_else(cloud, names)


def receives_what_is_signed_and_nothing_else(cloud: Installation, names: dict[str, Any]) -> None:
    now = cloud.services.clock.now()
    fact = Fact("evt_1", "user.created", now, {"userId": "user_123"})
    body = body_of(fact, names["secret"])
    headers = headers_of(fact, body, [names["secret"]], now)
    assert names["receive"](body, headers) == 204
    assert names["receive"](body + b" ", headers) == 400


def test_the_example_of_the_document_is_the_first() -> None:
    documented = """from smartaihub import SmartAIHubClient

client = SmartAIHubClient(
    base_url='https://api.smartaihub.com',
    api_key='your-api-key'
)

# Chat completion
response = client.chat.completions.create(
    model='gpt-4',
    messages=[{'role': 'user', 'content': 'Hello!'}]
)
"""
    shown, *_ = blocks("python")
    wanted = ast.parse(documented).body
    assert [ast.dump(each) for each in ast.parse(shown).body[: len(wanted)]] == [ast.dump(each) for each in wanted]
