"""Files as OpenAI's Files API has them."""

import asyncio
from typing import Any

import pytest
from openai_stack import Caller, Stack

CONTENT = b'{"messages": []}\n' * 100


async def upload(caller: Caller, name: str = "train.jsonl", purpose: str = "fine-tune", **more: Any) -> Any:
    return await caller.client.post(
        "/files", files={"file": (name, CONTENT, "application/jsonl")}, data={"purpose": purpose, **more}
    )


async def test_up_and_down_and_gone(caller: Caller) -> None:
    response = await upload(caller)
    assert response.status_code == 200
    made = response.json()
    assert made["id"].startswith("file-")
    assert made["object"] == "file"
    assert (made["bytes"], made["filename"], made["purpose"]) == (len(CONTENT), "train.jsonl", "fine-tune")
    assert (made["status"], made["expires_at"]) == ("processed", None)
    assert (await caller.client.get(f"/files/{made['id']}")).json() == made
    content = await caller.client.get(f"/files/{made['id']}/content")
    assert content.content == CONTENT
    assert content.headers["content-disposition"] == 'attachment; filename="train.jsonl"'
    part = await caller.client.get(f"/files/{made['id']}/content", headers={"Range": "bytes=0-9"})
    assert (part.status_code, part.content) == (206, CONTENT[:10])
    gone = await caller.client.delete(f"/files/{made['id']}")
    assert gone.json() == {"id": made["id"], "object": "file", "deleted": True}
    assert (await caller.client.get(f"/files/{made['id']}")).status_code == 404


async def test_pages_of_files(caller: Caller) -> None:
    ids = [(await upload(caller, f"{n}.txt", "user_data" if n % 2 else "batch")).json()["id"] for n in range(5)]
    newest = (await caller.client.get("/files", params={"limit": 2})).json()
    assert [file["id"] for file in newest["data"]] == [ids[4], ids[3]]
    assert (newest["first_id"], newest["last_id"], newest["has_more"]) == (ids[4], ids[3], True)
    rest = (await caller.client.get("/files", params={"limit": 10, "after": ids[3]})).json()
    assert [file["id"] for file in rest["data"]] == [ids[2], ids[1], ids[0]]
    assert rest["has_more"] is False
    oldest = (await caller.client.get("/files", params={"order": "asc", "purpose": "user_data"})).json()
    assert [file["id"] for file in oldest["data"]] == [ids[1], ids[3]]
    empty = (await caller.client.get("/files", params={"after": ids[0]})).json()
    assert (empty["data"], empty["first_id"], empty["has_more"]) == ([], None, False)


@pytest.mark.parametrize(
    "query", [{"limit": 0}, {"limit": 10_001}, {"limit": "x"}, {"order": "up"}, {"purpose": "x" * 100}]
)
async def test_a_list_that_cannot_be(caller: Caller, query: dict[str, Any]) -> None:
    response = await caller.client.get("/files", params=query)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == next(iter(query))


@pytest.mark.parametrize("purpose", ["", "world domination", "fine-tune\x00"])
async def test_an_upload_without_a_purpose(caller: Caller, purpose: str) -> None:
    response = await upload(caller, purpose=purpose)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "purpose"
    assert (await caller.client.get("/files")).json()["data"] == []


async def test_an_upload_that_expires(caller: Caller) -> None:
    expiry = {"expires_after[anchor]": "created_at", "expires_after[seconds]": "3600"}
    made = (await upload(caller, **expiry)).json()
    assert made["expires_at"] == made["created_at"] + 3600


@pytest.mark.parametrize(
    ("expiry", "param"),
    [
        ({"expires_after[anchor]": "created_at", "expires_after[seconds]": "60"}, "expires_after.seconds"),
        ({"expires_after[anchor]": "created_at", "expires_after[seconds]": "0009000000"}, "expires_after.seconds"),
        ({"expires_after[anchor]": "created_at"}, "expires_after.seconds"),
        ({"expires_after[anchor]": "now", "expires_after[seconds]": "3600"}, "expires_after.anchor"),
        ({"expires_after[seconds]": "3600"}, "expires_after.anchor"),
    ],
)
async def test_an_expiry_that_cannot_be(caller: Caller, expiry: dict[str, str], param: str) -> None:
    response = await upload(caller, **expiry)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == param


async def test_the_same_key_keeps_one_file(caller: Caller) -> None:
    files = {"file": ("a.txt", b"a", "text/plain")}
    keyed = {"Idempotency-Key": "once"}
    first, again = [
        await caller.client.post("/files", files=files, data={"purpose": "batch"}, headers=keyed) for _ in range(2)
    ]
    assert first.json() == again.json()
    other = {"file": ("a.txt", b"b", "text/plain")}
    refused = await caller.client.post("/files", files=other, data={"purpose": "batch"}, headers=keyed)
    assert refused.status_code == 422
    assert len((await caller.client.get("/files")).json()["data"]) == 1


async def test_no_file_no_form_and_hostile_names(caller: Caller) -> None:
    missing = await caller.client.post("/files", data={"purpose": "batch"}, files={"other": (None, "x")})
    assert (missing.status_code, missing.json()["error"]["param"]) == (400, "file")
    as_json = await caller.client.post("/files", json={"purpose": "batch"})
    assert (as_json.status_code, as_json.json()["error"]["code"]) == (415, "unsupported_content_type")
    hostile = (await upload(caller, "../../etc/\u202epasswd")).json()
    assert hostile["filename"] == "passwd"


@pytest.mark.parametrize(("method", "part"), [("GET", ""), ("GET", "/content"), ("DELETE", "")])
async def test_anothers_file_does_not_exist(stack: Stack, caller: Caller, method: str, part: str) -> None:
    made = (await upload(caller)).json()
    other = await stack.caller()
    for file_id in (made["id"], "file-nothing", "%00", "..%2f..%2fetc"):
        response = await other.client.request(method, f"/files/{file_id}{part}")
        assert response.status_code == 404
    assert (await other.client.get("/files")).json()["data"] == []
    assert (await caller.client.get(f"/files/{made['id']}")).status_code == 200


async def test_a_key_without_the_scope(stack: Stack) -> None:
    caller = await stack.caller(scopes=["inference"])
    for method, path in (("GET", "/files"), ("POST", "/files"), ("DELETE", "/files/x")):
        assert (await caller.client.request(method, path)).status_code == 403


async def test_a_truncated_upload_keeps_nothing(stack: Stack, caller: Caller) -> None:
    host, port = stack.base_url.removeprefix("http://").removesuffix("/v1").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = (
        f"POST /v1/files HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {caller.key}\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 100000\r\n\r\n"
        '--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nbegun'
    )
    writer.write(head.encode())
    await writer.drain()
    await asyncio.sleep(0.1)
    writer.close()
    await writer.wait_closed()
    assert await reader.read() == b""
    async with asyncio.timeout(5):
        while (await stack.services.files.usage(caller.user_id)).bytes:  # noqa: ASYNC110 - the server tells nobody
            await asyncio.sleep(0.01)
    assert (await caller.client.get("/files")).json()["data"] == []
