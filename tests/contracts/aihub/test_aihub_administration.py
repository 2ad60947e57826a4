"""Admin Endpoints of the document: users, their details and changes, and the metrics."""

from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from aihub_people import PASSWORD, Person, stranger

from cloudyard.domains.identity import Role, UserStatus
from cloudyard.domains.ledger import Discrepancy, verify_ledger
from cloudyard.testing.installation import Installation
from cloudyard.testing.spending import set_aside

Join = Callable[[], Person]

LISTED = {
    "id": str,
    "email": str,
    "firstName": str,
    "lastName": str,
    "role": str,
    "status": str,
    "emailVerified": bool,
    "credits": int,
    "createdAt": str,
    "lastActiveAt": str,
}
DETAILS = {"username", "phone", "timezone", "language", "heldCredits", "updatedAt"}
ROUTES = [
    ("GET", "/api/admin/users"),
    ("GET", "/api/admin/users/{id}"),
    ("PUT", "/api/admin/users/{id}"),
    ("GET", "/api/admin/metrics"),
]


def error(answer: httpx2.Response) -> dict[str, Any]:
    found: dict[str, Any] = answer.json()
    assert found["success"] is False
    problem: dict[str, Any] = found["error"]
    return problem


def listed(client: httpx2.Client, admin: Person, **query: Any) -> dict[str, Any]:
    answer = client.get("/api/admin/users", params=query, headers=admin.headers)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def details(client: httpx2.Client, admin: Person, of: Person) -> dict[str, Any]:
    answer = client.get(f"/api/admin/users/{of.id}", headers=admin.headers)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["data"]
    return found


def update(client: httpx2.Client, admin: Person, of: Person, **change: Any) -> httpx2.Response:
    return client.put(f"/api/admin/users/{of.id}", json=change, headers=admin.headers)


def test_the_list_has_the_documents_fields(client: httpx2.Client, admin: Person, ann: Person) -> None:
    found = listed(client, admin, page=1, limit=20, role="user", status="active")
    assert set(found) == {"success", "data", "pagination", "meta"}
    newest = found["data"][0]
    assert {name: type(value) for name, value in newest.items()} == LISTED
    assert (newest["id"], newest["email"], newest["credits"]) == (ann.id, ann.email, 1000)
    assert newest["lastActiveAt"] >= newest["createdAt"]
    assert {(user["role"], user["status"]) for user in found["data"]} == {("user", "active")}


def test_pages_of_the_list(client: httpx2.Client, admin: Person, join: Join) -> None:
    people = [join().id for _ in range(3)]
    pages = [listed(client, admin, page=number, limit=1) for number in (1, 2, 3)]
    assert [page["data"][0]["id"] for page in pages] == people[::-1]
    assert [page["pagination"]["hasPrev"] for page in pages] == [False, True, True]
    assert pages[0]["pagination"]["total"] == pages[0]["pagination"]["totalPages"] >= 4


def test_filters_and_search(
    client: httpx2.Client, admin: Person, ann: Person, join: Join, aihub_server: Installation
) -> None:
    eve = join()
    aihub_server.run(aihub_server.services.users.set_status(eve.id, UserStatus.SUSPENDED))
    suspended = [user["id"] for user in listed(client, admin, status="suspended", limit=100)["data"]]
    assert eve.id in suspended
    assert ann.id not in suspended
    assert admin.id in [user["id"] for user in listed(client, admin, role="admin")["data"]]
    for term in (ann.email, ann.email.upper(), ann.email.split("@")[0] + "@"):
        assert [user["id"] for user in listed(client, admin, search=term)["data"]] == [ann.id]
    assert listed(client, admin, search="%")["data"] == []


@pytest.mark.parametrize("sort", ["email", "createdAt", "lastActiveAt"])
def test_the_list_is_sorted_both_ways(client: httpx2.Client, admin: Person, join: Join, sort: str) -> None:
    join()
    join()
    up = [user[sort] for user in listed(client, admin, sort=sort, limit=100)["data"]]
    down = [user[sort] for user in listed(client, admin, sort=f"-{sort}", limit=100)["data"]]
    assert len(up) >= 3
    assert up == sorted(up)
    assert down == sorted(down, reverse=True)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"page": -1}, "page"),
        ({"limit": 0}, "limit"),
        ({"limit": 101}, "limit"),
        ({"role": "emperor"}, "role"),
        ({"status": "asleep"}, "status"),
        ({"sort": "password"}, "sort"),
        ({"search": "x" * 201}, "search"),
    ],
)
def test_a_bad_query_names_the_field(client: httpx2.Client, admin: Person, query: dict[str, Any], field: str) -> None:
    answer = client.get("/api/admin/users", params=query, headers=admin.headers)
    assert (answer.status_code, error(answer)["code"]) == (422, "VALIDATION_ERROR")
    assert [detail["field"] for detail in error(answer)["details"]] == [field]


def test_the_details_of_a_user(client: httpx2.Client, admin: Person, ann: Person, aihub_server: Installation) -> None:
    client.put("/api/users/me", json={"phone": "+1234567890"}, headers=ann.headers)
    aihub_server.run(set_aside(aihub_server.services, ann.id, "0.025"))
    found = details(client, admin, ann)
    assert set(found) == set(LISTED) | DETAILS
    assert (found["id"], found["email"], found["phone"]) == (ann.id, ann.email, "+1234567890")
    assert (found["credits"], found["heldCredits"]) == (997.5, 2.5)


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_only_administrators_administer(client: httpx2.Client, onlooker: Person, method: str, path: str) -> None:
    path = path.format(id=onlooker.id)
    body: dict[str, Any] = {"json": {"credits": 10**6}} if method == "PUT" else {}
    nobody = client.request(method, path, **body)
    assert (nobody.status_code, error(nobody)["code"]) == (401, "AUTHENTICATION_FAILED")
    user = client.request(method, path, headers=onlooker.headers, **body)
    assert (user.status_code, error(user)["code"]) == (403, "AUTHORIZATION_FAILED")


@pytest.mark.parametrize("user_id", ["00000000-0000-0000-0000-000000000000", "x", "nul%00"])
def test_an_unknown_user_is_not_found(client: httpx2.Client, admin: Person, user_id: str) -> None:
    path = f"/api/admin/users/{user_id}"
    for answer in (
        client.get(path, headers=admin.headers),
        client.put(path, json={"credits": 1}, headers=admin.headers),
    ):
        assert (answer.status_code, error(answer)["code"]) == (404, "RESOURCE_NOT_FOUND")


def test_role_status_and_credits_change_together(
    client: httpx2.Client, admin: Person, ann: Person, aihub_server: Installation
) -> None:
    answer = update(client, admin, ann, role="admin", status="active", credits=1500.5, reason="A prize")
    assert answer.status_code == 200
    assert answer.json()["data"] == details(client, admin, ann)
    found = answer.json()["data"]
    assert (found["role"], found["status"], found["credits"]) == ("admin", "active", 1500.5)
    (line, _) = client.get("/api/credits/history", headers=ann.headers).json()["data"]
    assert (line["type"], line["amount"], line["balance"], line["description"]) == (
        "adjustment",
        500.5,
        1500.5,
        "A prize",
    )
    services = aihub_server.services
    acts = aihub_server.run(services.audit.list(actor=admin.id, subject=f"user:{ann.id}"))
    assert [act.action for act in acts] == ["ledger.adjusted", "user.updated"]
    assert dict(acts[0].details)["reason"] == "A prize"
    assert dict(acts[1].details)["role"] == "admin"
    assert client.get("/api/admin/users", headers=ann.headers).status_code == 200
    aihub_server.run(services.users.set_role(ann.id, Role.USER))


def test_credits_that_are_there_already_move_nothing(client: httpx2.Client, admin: Person, ann: Person) -> None:
    for _ in range(2):
        assert update(client, admin, ann, credits=400).json()["data"]["credits"] == 400
    lines = client.get("/api/credits/history", headers=ann.headers).json()["data"]
    assert [line["amount"] for line in lines] == [-600, 1000]
    assert lines[0]["description"] == "Set by an administrator"


def test_what_is_set_aside_is_not_given_twice(
    client: httpx2.Client, admin: Person, ann: Person, aihub_server: Installation
) -> None:
    aihub_server.run(set_aside(aihub_server.services, ann.id, "0.025"))
    found = update(client, admin, ann, credits=0).json()["data"]
    assert (found["credits"], found["heldCredits"]) == (0, 2.5)

    async def discrepancies() -> list[Discrepancy]:
        async with aihub_server.services.database.reading() as tx:
            return await tx.run_sync(verify_ledger)

    assert aihub_server.run(discrepancies()) == []


def test_an_empty_update_changes_nothing(client: httpx2.Client, admin: Person, ann: Person) -> None:
    before = details(client, admin, ann)
    assert update(client, admin, ann, role=None, credits=None).json()["data"] == before


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"role": "emperor"}, "role"),
        ({"role": 1}, "role"),
        ({"status": "asleep"}, "status"),
        ({"credits": "many"}, "credits"),
        ({"credits": -1}, "credits"),
        ({"credits": 0.0000000001}, "credits"),
        ({"credits": 10**12}, "credits"),
        ({"credits": True}, "credits"),
        ({"credits": 5, "reason": ""}, "reason"),
        ({"credits": 5, "reason": "x" * 501}, "reason"),
        ({"credits": 5, "reason": "bell\x07"}, "reason"),
    ],
)
def test_a_bad_update_names_the_field_and_changes_nothing(
    client: httpx2.Client, admin: Person, ann: Person, change: dict[str, Any], field: str
) -> None:
    before = details(client, admin, ann)
    answer = update(client, admin, ann, **{"role": "node_operator", "status": "active"} | change)
    assert (answer.status_code, error(answer)["code"]) == (422, "VALIDATION_ERROR")
    assert [detail["field"] for detail in error(answer)["details"]] == [field]
    assert details(client, admin, ann) == before


def test_suspension_ends_sessions_at_once_and_can_be_taken_back(
    client: httpx2.Client, admin: Person, ann: Person, aihub_server: Installation
) -> None:
    assert client.get("/api/users/me", headers=ann.headers).status_code == 200
    assert update(client, admin, ann, status="suspended").json()["data"]["status"] == "suspended"
    assert client.get("/api/users/me", headers=ann.headers).status_code in (401, 403)
    with stranger(aihub_server) as elsewhere:
        again = elsewhere.post("/api/auth/refresh", json={"refreshToken": ann.refresh_token})
        assert again.status_code in (401, 403)
        assert elsewhere.post("/api/auth/login", json={"email": ann.email, "password": PASSWORD}).status_code == 403
        assert update(client, admin, ann, status="active").status_code == 200
        assert client.get("/api/users/me", headers=ann.headers).status_code == 401
        assert elsewhere.post("/api/auth/login", json={"email": ann.email, "password": PASSWORD}).status_code == 200


@pytest.mark.parametrize("change", [{"role": "user"}, {"status": "suspended"}, {"role": "user", "credits": 5}])
def test_the_last_administrator_stays(client: httpx2.Client, root: Person, change: dict[str, Any]) -> None:
    before = details(client, root, root)
    answer = update(client, root, root, **change)
    assert (answer.status_code, error(answer)["code"]) == (409, "RESOURCE_CONFLICT")
    after = details(client, root, root)
    assert (after["role"], after["status"], after["credits"]) == ("admin", "active", before["credits"])


def test_the_metrics(client: httpx2.Client, admin: Person, ann: Person) -> None:
    def read() -> dict[str, Any]:
        answer = client.get("/api/admin/metrics", headers=admin.headers)
        assert answer.status_code == 200
        found: dict[str, Any] = answer.json()["data"]
        return found

    before = read()
    assert set(before) == {"users", "credits", "api"}
    assert set(before["users"]) == {"total", "active", "newThisMonth"}
    assert set(before["credits"]) == {"totalPurchased", "totalUsed", "revenue"}
    assert set(before["api"]) == {"requestsToday", "averageResponseTime", "errorRate"}
    update(client, admin, ann, status="suspended")
    after = read()
    assert after["users"]["total"] == before["users"]["total"]
    assert after["users"]["active"] == before["users"]["active"] - 1
    assert 0 < after["users"]["newThisMonth"] <= after["users"]["total"]
    assert after["api"]["requestsToday"] >= 2
    assert after["api"]["averageResponseTime"] > 0
    assert 0 <= after["api"]["errorRate"] < 1
