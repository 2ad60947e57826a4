"""A chat is told to webhooks that ask for `credit.used`, and over the WebSocket of who chatted."""

import json
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest
from aihub_people import Person, build, new_person, settings_for, stranger
from websockets.sync.client import ClientConnection, connect

from cloudyard.domains.identity import Role
from cloudyard.foundation.settings.inference import DeploymentSettings, ModelSettings
from cloudyard.testing.installation import Installation, installation
from cloudyard.testing.upstream import threaded_upstream
from cloudyard.testing.waiting import eventually
from cloudyard.testing.webhooks import Receiver, running_receiver

USD = "0.0001"


@pytest.fixture(scope="module")
def parrot_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """An installation whose only model is a scripted upstream, at a hundredth of a credit a token."""
    data_dir: Path = tmp_path_factory.mktemp("aihub-parrot")
    with threaded_upstream() as upstream:
        settings = settings_for(data_dir)
        deployment = DeploymentSettings(name="upstream", kind="openai", base_url=upstream.base_url)
        settings.inference.default_models = False
        settings.inference.models = {"parrot": ModelSettings(deployments=[deployment])}
        prices = [{"meter": "input_token", "usd": USD}, {"meter": "output_token", "usd": USD}]
        settings.billing = settings.billing.model_validate({"prices": {"model:parrot": prices}})
        with installation(settings, build) as running:
            yield running


@pytest.fixture
def caller(parrot_server: Installation) -> Iterator[httpx2.Client]:
    with stranger(parrot_server) as client:
        yield client


@pytest.fixture
def bob(parrot_server: Installation) -> Person:
    """Whose welcome is in the feed already."""
    person = new_person(parrot_server)
    live = parrot_server.services.live
    parrot_server.run(eventually(lambda: live.newest(person.id), bool))
    return person


@pytest.fixture
def chief(parrot_server: Installation) -> Person:
    person = new_person(parrot_server)
    parrot_server.run(parrot_server.services.users.set_role(person.id, Role.ADMIN))
    return person


@pytest.fixture
def receiver(parrot_server: Installation) -> Iterator[Receiver]:
    """Runs in the loop of the installation."""
    stack = AsyncExitStack()
    yield parrot_server.run(stack.enter_async_context(running_receiver()))
    parrot_server.run(stack.aclose())


def chat(client: httpx2.Client, person: Person) -> dict[str, Any]:
    body = {"model": "parrot", "messages": [{"role": "user", "content": "Hello!"}], "maxTokens": 20, "stream": False}
    answer = client.post("/api/mcp/chat/completions", json=body, headers=person.headers)
    assert answer.status_code == 200, answer.text
    data: dict[str, Any] = answer.json()["data"]
    return data


def told(socket: ClientConnection) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(socket.recv(timeout=30))
    return message


def test_a_webhook_hears_what_was_used(
    parrot_server: Installation, caller: httpx2.Client, bob: Person, chief: Person, receiver: Receiver
) -> None:
    given = {"url": receiver.url, "events": ["credit.used"]}
    created = caller.post("/api/admin/webhooks", json=given, headers=chief.headers)
    assert created.status_code == 201, created.text
    answers = [chat(caller, bob) for _ in range(2)]

    async def posted() -> list[Any]:
        return [each.json for each in receiver.posted]

    first, second = parrot_server.run(eventually(posted, lambda found: len(found) >= 2))
    assert {first["eventType"], second["eventType"]} == {"credit.used"}
    assert [each["data"]["cost"] for each in (first, second)] == [each["cost"] for each in answers]
    assert first["data"]["amount"] == pytest.approx(100 * answers[0]["cost"])
    assert (first["data"]["userId"], first["data"]["model"]) == (bob.id, "parrot")
    assert first["data"]["usageRecordId"] != second["data"]["usageRecordId"]
    balance = caller.get("/api/credits/balance", headers=bob.headers).json()["data"]["balance"]
    assert second["data"]["balance"] == balance
    assert caller.delete(f"/api/admin/webhooks/{created.json()['data']['id']}", headers=chief.headers).is_success


def test_who_is_connected_hears_of_credit_and_chat(
    parrot_server: Installation, caller: httpx2.Client, bob: Person
) -> None:
    url = parrot_server.url.replace("http", "ws", 1) + "/aihub/ws"
    with connect(url, additional_headers=bob.headers) as socket:
        last = told(socket)["data"]["lastEventId"]
        answer = chat(caller, bob)
        credit, completed = told(socket), told(socket)
    assert [event["event"] for event in (credit, completed)] == ["credit.used", "chat.completed"]
    assert [event["id"] for event in (credit, completed)] == [last + 1, last + 2]
    assert credit["data"]["userId"] == completed["data"]["userId"] == bob.id
    assert credit["data"]["cost"] == completed["data"]["cost"] == answer["cost"] > 0
    assert completed["data"]["totalTokens"] == answer["usage"]["totalTokens"]
    assert (completed["data"]["model"], completed["data"]["usageRecordId"]) == (
        "parrot",
        credit["data"]["usageRecordId"],
    )
    chat(caller, bob)
    with connect(f"{url}?lastEventId={last + 2}", additional_headers=bob.headers) as socket:
        told(socket)
        assert [told(socket)["event"] for _ in range(2)] == ["credit.used", "chat.completed"], "though it was away"
