"""Webhooks: created by an administrator, delivered to a real receiver, logged, tested, replayed."""

import asyncio
import hashlib
import hmac
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest
from aihub_people import Person

from cloudyard.testing.installation import Installation
from cloudyard.testing.webhooks import Posted, Receiver, running_receiver

SECRET = "your-webhook-secret"
PATH = "/api/admin/webhooks"
GIVEN: dict[str, Any] = {
    "url": "https://your-app.com/webhooks/smartaihub",
    "events": ["user.created", "credit.purchased", "payment.completed"],
    "secret": SECRET,
    "active": True,
}
WITHIN_SECONDS = 20.0

Call = Callable[..., httpx2.Response]


@pytest.fixture
def call(client: httpx2.Client, admin: Person) -> Call:
    """Calls as the administrator, below the path of webhooks."""

    def send(
        method: str, path: str = "", *, by: Person = admin, key: str | None = None, **more: Any
    ) -> httpx2.Response:
        headers = by.headers | ({"Idempotency-Key": key} if key is not None else {})
        return client.request(method, PATH + path, headers=headers, **more)

    return send


@pytest.fixture
def create(call: Call) -> Iterator[Callable[..., dict[str, Any]]]:
    """Creates a webhook, which is deleted at the end."""
    made: list[str] = []

    def send(**change: Any) -> dict[str, Any]:
        answer = call("POST", json=GIVEN | change)
        assert answer.status_code == 201, answer.text
        webhook: dict[str, Any] = answer.json()["data"]
        made.append(webhook["id"])
        return webhook

    yield send
    for webhook_id in made:
        call("DELETE", f"/{webhook_id}")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    running = running_receiver()
    try:
        yield asyncio.run_coroutine_threadsafe(running.__aenter__(), loop).result(10)
    finally:
        asyncio.run_coroutine_threadsafe(running.__aexit__(None, None, None), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


def wait(condition: Callable[[], Any]) -> Any:
    """What the condition gives, as soon as that is something."""
    until = time.monotonic() + WITHIN_SECONDS
    while not (found := condition()):
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.02)
    return found


def about(receiver: Receiver, person: Person) -> list[Posted]:
    return [posted for posted in receiver.posted if posted.json["data"].get("userId") == person.id]


def error(answer: httpx2.Response) -> tuple[int, str, list[str]]:
    problem = answer.json()["error"]
    return answer.status_code, problem["code"], [detail["field"] for detail in problem["details"]]


def test_a_webhook_as_the_document_creates_it(create: Callable[..., dict[str, Any]], call: Call) -> None:
    created = create()
    assert created.items() >= GIVEN.items()
    shown = call("GET", f"/{created['id']}").json()["data"]
    assert shown == {name: value for name, value in created.items() if name != "secret"}
    listed = call("GET").json()
    assert shown in listed["data"] and listed["pagination"]["total"] >= 1


def test_a_registration_is_delivered_and_verifies(
    create: Callable[..., dict[str, Any]], receiver: Receiver, join: Callable[[], Person], call: Call
) -> None:
    webhook = create(url=receiver.url)
    person = join()
    (posted,) = wait(lambda: about(receiver, person))
    expected = "sha256=" + hmac.new(SECRET.encode(), posted.body, hashlib.sha256).hexdigest()
    assert posted.headers["x-webhook-signature"] == expected
    assert posted.json["eventType"] == "user.created"
    assert posted.json["data"]["email"] == person.email

    log = f"/{webhook['id']}/deliveries"
    (line,) = wait(lambda: call("GET", log + "?status=delivered&event=user.created").json()["data"])
    assert (line["eventId"], line["attempts"]) == (posted.json["eventId"], 1)
    details = call("GET", f"{log}/{line['id']}").json()["data"]
    (attempt,) = details.pop("log")
    assert details == line and (attempt["statusCode"], attempt["error"]) == (200, None)

    for query, found in {
        "?status=pending": 0,
        "?event=user.updated": 0,
        "?since=2000-01-01T00:00:00Z": 1,
        "?until=2000-01-01T00:00:00Z": 0,
    }.items():
        assert call("GET", log + query).json()["pagination"]["total"] == found, query

    again = call("POST", f"{log}/{line['id']}/replay")
    assert again.status_code == 202 and again.json()["data"]["status"] == "pending"
    wait(lambda: len(about(receiver, person)) == 2)
    assert about(receiver, person)[1].headers["webhook-id"] == posted.headers["webhook-id"]


def test_a_test_event_and_an_idempotency_key(
    create: Callable[..., dict[str, Any]], receiver: Receiver, call: Call
) -> None:
    webhook = create(url=receiver.url, events=["payment.failed"])
    first = call("POST", f"/{webhook['id']}/test", key=webhook["id"])
    second = call("POST", f"/{webhook['id']}/test", key=webhook["id"])
    assert first.status_code == second.status_code == 202
    assert first.json()["data"] == second.json()["data"]
    wait(lambda: receiver.posted)
    (posted,) = receiver.posted
    assert posted.json["eventType"] == "webhook.test" and posted.json["data"] == {"webhookId": webhook["id"]}


def test_update_rotate_and_delete(create: Callable[..., dict[str, Any]], call: Call) -> None:
    webhook = create()
    path = f"/{webhook['id']}"
    changed = call("PUT", path, json={"events": ["payment.failed"], "active": False}).json()["data"]
    assert (changed["events"], changed["active"], changed["url"]) == (["payment.failed"], False, webhook["url"])
    assert error(call("POST", path + "/test"))[:2] == (409, "RESOURCE_CONFLICT")
    rotated = call("POST", path + "/rotate-secret").json()["data"]
    assert rotated["secret"].startswith("whsec_") and rotated["secret"] != SECRET
    assert call("DELETE", path).status_code == 200
    assert error(call("GET", path))[:2] == (404, "RESOURCE_NOT_FOUND")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"url": "ftp://example.com/"}, "url"),
        ({"url": "https://"}, "url"),
        ({"url": "https://user:pw@example.com/"}, "url"),
        ({"url": "https://[::1"}, "url"),
        ({"url": "https://10.0.0.1/"}, "url"),
        ({"url": "https://169.254.169.254/latest/meta-data"}, "url"),
        ({"url": "https://[::ffff:10.0.0.1]/"}, "url"),
        ({"url": "https://example.com:99999/"}, "url"),
        ({"events": []}, "events"),
        ({"events": ["user.vanished"]}, "events"),
        ({"events": ["user\x00created"]}, "events"),
        ({"secret": "short"}, "secret"),
        ({"secret": "x" * 300}, "secret"),
        ({"secret": "geheim-geheim-\u00fc\u00fc"}, "secret"),
    ],
)
def test_what_is_refused(call: Call, change: dict[str, Any], field: str) -> None:
    assert error(call("POST", json=GIVEN | change)) == (422, "VALIDATION_ERROR", [field])


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", ""),
        ("GET", ""),
        ("GET", "/x"),
        ("PUT", "/x"),
        ("DELETE", "/x"),
        ("POST", "/x/test"),
        ("POST", "/x/rotate-secret"),
        ("GET", "/x/deliveries"),
        ("GET", "/x/deliveries/1"),
        ("POST", "/x/deliveries/1/replay"),
    ],
)
def test_only_administrators_may(call: Call, onlooker: Person, method: str, path: str) -> None:
    body = {"json": GIVEN} if method in ("PUT", "POST") else {}
    assert error(call(method, path, by=onlooker, **body))[:2] == (403, "AUTHORIZATION_FAILED")
    if path:
        assert error(call(method, path, **body))[:2] == (404, "RESOURCE_NOT_FOUND")


@pytest.mark.parametrize("delivery", ["0", "-1", "x", "1" * 30, "\u0663", "%00"])
def test_a_delivery_that_is_not_there(create: Callable[..., dict[str, Any]], call: Call, delivery: str) -> None:
    path = f"/{create()['id']}/deliveries/{delivery}"
    assert call("GET", path).status_code == 404
    assert call("POST", path + "/replay").status_code == 404


def test_secrets_are_not_kept_for_idempotency(
    aihub_server: Installation, call: Call, create: Callable[..., dict[str, Any]]
) -> None:
    webhook = create()
    first = call("POST", f"/{webhook['id']}/rotate-secret", key="rotation").json()["data"]["secret"]
    second = call("POST", f"/{webhook['id']}/rotate-secret", key="rotation").json()["data"]["secret"]
    assert first != second
