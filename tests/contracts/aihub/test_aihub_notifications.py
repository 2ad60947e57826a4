"""Notification Endpoints of the document."""

from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from aihub_people import Person

from cloudyard.testing.installation import Installation
from cloudyard.testing.notices import notice
from cloudyard.testing.waiting import eventually

Join = Callable[[], Person]
Welcomed = Callable[[Person], dict[str, Any]]

LIST = "/api/notifications"
SETTINGS = f"{LIST}/settings"
DOCUMENTED = {
    "emailNotifications": True,
    "pushNotifications": True,
    "inAppNotifications": True,
    "categories": {
        "account": {"email": True, "push": True, "inApp": True},
        "billing": {"email": True, "push": False, "inApp": True},
    },
}


@pytest.fixture
def welcomed(client: httpx2.Client, aihub_server: Installation) -> Welcomed:
    """Waits for somebody's welcome, and gives the answer that lists it."""

    def listed(person: Person) -> dict[str, Any]:
        notifications = aihub_server.services.notifications
        aihub_server.run(eventually(lambda: notifications.list(person.id, limit=1), lambda found: found[1]))
        query = {"page": 1, "limit": 20, "unread": "false"}
        body: dict[str, Any] = client.get(LIST, params=query, headers=person.headers).json()
        return body

    return listed


def test_a_new_user_finds_a_welcome_and_reads_it(client: httpx2.Client, ann: Person, welcomed: Welcomed) -> None:
    body = welcomed(ann)
    (welcome,) = body["data"]
    assert body["success"] is True
    assert {"timestamp", "requestId", "version"} == set(body["meta"])
    assert {"id", "type", "title", "message", "read", "createdAt"} <= set(welcome)
    assert (welcome["type"], welcome["read"]) == ("info", False)
    assert welcome["title"].startswith("Welcome")
    assert body["pagination"] == {
        "page": 1, "limit": 20, "total": 1, "totalPages": 1, "hasNext": False, "hasPrev": False,
    }  # fmt: skip
    for _ in range(2):
        read = client.put(f"{LIST}/{welcome['id']}/read", headers=ann.headers)
        assert read.status_code == 200
        assert read.json()["data"] == {**welcome, "read": True}
    unread = client.get(LIST, params={"unread": "true"}, headers=ann.headers).json()
    assert (unread["data"], unread["pagination"]["total"]) == ([], 0)
    assert client.get(LIST, headers=ann.headers).json()["data"] == [{**welcome, "read": True}]


def test_all_are_read_at_once(
    client: httpx2.Client, ann: Person, welcomed: Welcomed, aihub_server: Installation
) -> None:
    welcomed(ann)
    aihub_server.run(aihub_server.services.notifications.post(notice(ann.id, "low:1")))
    answer = client.put(f"{LIST}/read-all", headers=ann.headers)
    assert (answer.status_code, answer.json()["data"]) == (200, {"markedAsRead": 2})
    assert all(each["read"] for each in client.get(LIST, headers=ann.headers).json()["data"])


def test_pages(client: httpx2.Client, ann: Person, welcomed: Welcomed, aihub_server: Installation) -> None:
    welcomed(ann)
    for number in range(2):
        aihub_server.run(aihub_server.services.notifications.post(notice(ann.id, f"low:{number}")))
    body = client.get(LIST, params={"page": 2, "limit": 1}, headers=ann.headers).json()
    assert len(body["data"]) == 1
    assert body["pagination"] == {"page": 2, "limit": 1, "total": 3, "totalPages": 3, "hasNext": True, "hasPrev": True}


@pytest.mark.parametrize("query", [{"page": -1}, {"limit": 0}, {"limit": 101}, {"page": "one"}, {"unread": "perhaps"}])
def test_a_wrong_page_is_refused(client: httpx2.Client, onlooker: Person, query: dict[str, Any]) -> None:
    answer = client.get(LIST, params=query, headers=onlooker.headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "VALIDATION_ERROR")
    assert [detail["field"] for detail in answer.json()["error"]["details"]] == list(query)


def test_a_foreign_notification_does_not_exist(
    client: httpx2.Client, ann: Person, welcomed: Welcomed, join: Join
) -> None:
    hers = welcomed(ann)["data"][0]
    for wrong in (hers["id"], "nothing"):
        answer = client.put(f"{LIST}/{wrong}/read", headers=join().headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "RESOURCE_NOT_FOUND")
    assert client.get(LIST, headers=ann.headers).json()["data"] == [hers]


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", LIST), ("PUT", f"{LIST}/x/read"), ("PUT", f"{LIST}/read-all"), ("GET", SETTINGS), ("PUT", SETTINGS)],
)
def test_nobody_reads_without_signing_in(client: httpx2.Client, method: str, path: str) -> None:
    answer = client.request(method, path, **({"json": DOCUMENTED} if path == SETTINGS and method == "PUT" else {}))
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "AUTHENTICATION_FAILED")


def test_settings_are_kept(client: httpx2.Client, ann: Person) -> None:
    before = client.get(SETTINGS, headers=ann.headers).json()["data"]
    assert before["categories"]["billing"] == {"email": True, "push": True, "inApp": True}
    answer = client.put(SETTINGS, json=DOCUMENTED, headers=ann.headers)
    assert answer.status_code == 200, answer.text
    expected = {**DOCUMENTED, "categories": {**before["categories"], **DOCUMENTED["categories"]}}  # type: ignore[dict-item]
    assert answer.json()["data"] == expected
    assert client.get(SETTINGS, headers=ann.headers).json()["data"] == expected
    less = client.put(SETTINGS, json={"inAppNotifications": False}, headers=ann.headers).json()["data"]
    assert less == {**expected, "inAppNotifications": False}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"emailNotifications": "sometimes"}, "emailNotifications"),
        ({"categories": {"billing": {"push": 1}}}, "categories.billing.push"),
        ({"categories": {"weather": {"push": True}}}, "categories.weather"),
        ({"categories": []}, "categories"),
    ],
)
def test_wrong_settings_are_refused(
    client: httpx2.Client, onlooker: Person, change: dict[str, Any], field: str
) -> None:
    answer = client.put(SETTINGS, json={**DOCUMENTED, **change}, headers=onlooker.headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "VALIDATION_ERROR")
    assert field in [detail["field"] for detail in answer.json()["error"]["details"]]
