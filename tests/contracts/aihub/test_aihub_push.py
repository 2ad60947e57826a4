"""A browser registers on the surface and is pushed what its user is told."""

from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any

import httpx2
import pytest
from aihub_people import Person

from cloudyard.testing.installation import Installation
from cloudyard.testing.notices import notice
from cloudyard.testing.push_service import Browser, PushService, running_push_service
from cloudyard.testing.waiting import eventually

PUSH = "/api/notifications/push"
SUBSCRIPTIONS = f"{PUSH}/subscriptions"


@pytest.fixture
def service(aihub_server: Installation) -> Iterator[PushService]:
    """Runs in the loop of the installation."""
    stack = AsyncExitStack()
    yield aihub_server.run(stack.enter_async_context(running_push_service()))
    aihub_server.run(stack.aclose())


def registration(service: PushService, browser: Browser) -> dict[str, Any]:
    """What a browser's `PushSubscription.toJSON()` gives."""
    return {"endpoint": service.endpoint(browser), "expirationTime": None, "keys": browser.keys}


def test_a_registered_browser_shows_what_its_user_is_told(
    client: httpx2.Client, ann: Person, aihub_server: Installation, service: PushService
) -> None:
    key = client.get(f"{PUSH}/key", headers=ann.headers).json()["data"]["publicKey"]
    answer = client.post(SUBSCRIPTIONS, json=registration(service, service.subscribe()), headers=ann.headers)
    assert answer.status_code == 201, answer.text
    assert set(answer.json()["data"]) == {"id", "endpoint", "createdAt"}
    aihub_server.run(aihub_server.services.notifications.post(notice(ann.id, "low:push")))

    async def taken() -> int:
        return len(service.taken)

    aihub_server.run(eventually(taken, bool))
    (pushed,) = service.taken
    assert (pushed.public_key, service.refused) == (key, [])
    assert pushed.claims["sub"] == "mailto:root@example.com"
    assert pushed.json["title"] == "Your credits are running low"


def test_browsers_are_listed_and_removed(client: httpx2.Client, ann: Person, service: PushService) -> None:
    body = registration(service, service.subscribe())
    created = client.post(SUBSCRIPTIONS, json=body, headers=ann.headers).json()["data"]
    again = client.post(SUBSCRIPTIONS, json=body, headers=ann.headers).json()["data"]
    assert created == again
    listed = client.get(SUBSCRIPTIONS, headers=ann.headers).json()
    assert (listed["success"], listed["data"]) == (True, [created])
    removed = client.delete(f"{SUBSCRIPTIONS}/{created['id']}", headers=ann.headers)
    assert (removed.status_code, removed.json()["success"]) == (200, True)
    assert client.get(SUBSCRIPTIONS, headers=ann.headers).json()["data"] == []
    gone = client.delete(f"{SUBSCRIPTIONS}/{created['id']}", headers=ann.headers)
    assert (gone.status_code, gone.json()["error"]["code"]) == (404, "RESOURCE_NOT_FOUND")


def test_the_browsers_of_others_are_out_of_reach(
    client: httpx2.Client, ann: Person, onlooker: Person, service: PushService
) -> None:
    body = registration(service, service.subscribe())
    hers = client.post(SUBSCRIPTIONS, json=body, headers=ann.headers).json()["data"]
    assert client.delete(f"{SUBSCRIPTIONS}/{hers['id']}", headers=onlooker.headers).status_code == 404
    assert client.get(SUBSCRIPTIONS, headers=onlooker.headers).json()["data"] == []


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"endpoint": "https://10.0.0.1/push"}, "endpoint"),
        ({"endpoint": "ftp://push.example.com/x"}, "endpoint"),
        ({"endpoint": 7}, "endpoint"),
        ({"keys": {"p256dh": "short", "auth": "AAAAAAAAAAAAAAAAAAAAAA"}}, "keys.p256dh"),
        ({"keys": {**Browser().keys, "auth": "AAAA"}}, "keys.auth"),
        ({"keys": {}}, "keys.p256dh"),
        ({"keys": None}, "keys"),
    ],
)
def test_what_is_no_subscription_is_refused(
    client: httpx2.Client, onlooker: Person, changes: dict[str, Any], field: str
) -> None:
    body = {"endpoint": "https://push.example.com/x", "keys": Browser().keys, **changes}
    answer = client.post(SUBSCRIPTIONS, json=body, headers=onlooker.headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "VALIDATION_ERROR")
    assert field in [detail["field"] for detail in answer.json()["error"]["details"]]


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", f"{PUSH}/key"), ("GET", SUBSCRIPTIONS), ("POST", SUBSCRIPTIONS), ("DELETE", f"{SUBSCRIPTIONS}/x")],
)
def test_nobody_registers_without_signing_in(client: httpx2.Client, method: str, path: str) -> None:
    body = {"endpoint": "https://push.example.com/x", "keys": Browser().keys}
    answer = client.request(method, path, **({"json": body} if method == "POST" else {}))
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "AUTHENTICATION_FAILED")
