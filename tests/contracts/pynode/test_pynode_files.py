"""File Management of pynode.md."""

import hashlib
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

Account = dict[str, Any]
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c63f8cfc0f01f0005000180"
    "3c5c4d2c0000000049454e44ae426082"
)


def upload(client: httpx2.Client, account: Account, content: bytes = PNG, name: str = "probe.png") -> Any:
    files = {"file": (name, content, "image/png")}
    return client.post("/api/files/upload", files=files, headers=account["auth"])


def test_an_upload_has_the_documents_fields_and_comes_back_as_it_was(client: httpx2.Client, ann: Account) -> None:
    answer = upload(client, ann)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert found.keys() == {"id", "filename", "size", "mime_type", "url", "created_at", "checksum"}
    assert (found["filename"], found["size"], found["mime_type"]) == ("probe.png", len(PNG), "image/png")
    assert found["checksum"] == hashlib.sha256(PNG).hexdigest()
    down = client.get(found["url"], headers=ann["auth"])
    assert (down.status_code, down.content) == (200, PNG)
    assert down.headers["content-type"] == "image/png"
    assert down.headers["x-content-type-options"] == "nosniff"
    assert down.headers["content-security-policy"] == "default-src 'none'; sandbox"
    head = client.head(found["url"], headers=ann["auth"])
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(len(PNG)))
    part = client.get(found["url"], headers={**ann["auth"], "Range": "bytes=1-3"})
    assert (part.status_code, part.content) == (206, PNG[1:4])
    assert client.get(f"/api/files/{found['id']}", headers=ann["auth"]).json() == found


def test_files_are_listed_newest_first(client: httpx2.Client, ann: Account, join: Callable[[], Account]) -> None:
    ids = [upload(client, ann, name=f"{n}.png").json()["id"] for n in range(3)]
    found = client.get("/api/files", headers=ann["auth"]).json()
    assert (found["total"], found["limit"], found["offset"]) == (3, 50, 0)
    assert [f["id"] for f in found["files"]] == ids[::-1]
    page = client.get("/api/files?limit=1&offset=2", headers=ann["auth"]).json()
    assert [f["id"] for f in page["files"]] == ids[:1]
    assert client.get("/api/files?limit=1&offset=1000", headers=ann["auth"]).json()["files"] == []
    assert client.get("/api/files", headers=join()["auth"]).json()["files"] == []


def test_a_file_is_its_owners_alone(client: httpx2.Client, ann: Account, join: Callable[[], Account]) -> None:
    file = upload(client, ann).json()
    bob = join()
    for method, path in (("GET", ""), ("GET", "/download"), ("DELETE", "")):
        answer = client.request(method, f"/api/files/{file['id']}{path}", headers=bob["auth"])
        assert (answer.status_code, answer.json()["code"]) == (404, "RESOURCE_NOT_FOUND")
    assert client.get(f"/api/files/{file['id']}", headers=ann["auth"]).status_code == 200
    assert client.get(f"/api/files/{file['id']}").status_code == 401


def test_a_deleted_file_is_gone(client: httpx2.Client, ann: Account) -> None:
    file = upload(client, ann).json()
    answer = client.delete(f"/api/files/{file['id']}", headers=ann["auth"])
    assert (answer.status_code, answer.json()) == (200, {"message": "File deleted successfully"})
    for method in ("GET", "DELETE"):
        gone = client.request(method, f"/api/files/{file['id']}", headers=ann["auth"])
        assert (gone.status_code, gone.json()["error"]) == (404, "Not Found")


@pytest.mark.parametrize("id", ["0191d1a0-0000-7000-8000-000000000000", "x", "%2e%2e%2fetc", "file-" + "9" * 60])
def test_unknown_ids_are_not_found(client: httpx2.Client, ann: Account, id: str) -> None:
    assert client.get(f"/api/files/{id}", headers=ann["auth"]).status_code == 404


@pytest.mark.parametrize("name", ["../../etc/passwd", "C:\\boot.ini", "a\x00b.png", "<script>.png", ".", "x" * 400])
def test_hostile_names_become_harmless(client: httpx2.Client, ann: Account, name: str) -> None:
    answer = upload(client, ann, name=name)
    assert answer.status_code in (200, 400), answer.text
    if answer.status_code == 200:
        kept = answer.json()["filename"]
        assert "/" not in kept
        assert "\\" not in kept
        assert "\x00" not in kept
        assert len(kept) <= 255
        assert kept not in (".", "..")


def test_a_form_without_a_file_is_refused(client: httpx2.Client, ann: Account) -> None:
    answer = client.post("/api/files/upload", files={"note": (None, "no file")}, headers=ann["auth"])
    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_PARAMETERS")
    assert answer.json()["details"]["field"] == "file"


def test_what_is_no_form_is_refused(client: httpx2.Client, ann: Account) -> None:
    answer = client.post("/api/files/upload", json={"file": "x"}, headers=ann["auth"])
    assert answer.status_code == 415


def test_a_file_that_is_too_large_is_refused_and_not_kept(client: httpx2.Client, ann: Account) -> None:
    answer = upload(client, ann, content=b"x" * 200_001)
    assert answer.status_code == 413
    assert answer.json()["code"] in ("FILE_TOO_LARGE", "BODY_TOO_LARGE")
    assert client.get("/api/files", headers=ann["auth"]).json()["total"] == 0
    # a file may be larger than a JSON body may
    assert upload(client, ann, content=b"x" * 150_000).status_code == 200


@pytest.mark.parametrize("query", ["limit=-5", "limit=1000000", "offset=-1"])
def test_bad_paging_is_refused(client: httpx2.Client, ann: Account, query: str) -> None:
    answer = client.get(f"/api/files?{query}", headers=ann["auth"])
    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_PARAMETERS")
