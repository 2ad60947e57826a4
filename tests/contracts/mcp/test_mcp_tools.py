"""Tools as the official client calls them, by both revisions."""

import asyncio
from typing import Any

import httpx2
import pytest
from mcp.client import Client
from mcp_people import Person, both_revisions, called, connected, own_address

from cloudyard.testing.installation import Installation
from cloudyard.testing.upstream import PIECES, Behaviour, Upstream
from cloudyard.testing.waiting import eventually, until

TEXT = "".join(PIECES)
COST = 0.1 * len(PIECES)
READING = {"list_models", "chat_history", "wallet", "credit_history", "list_files", "read_file"}


@pytest.fixture(autouse=True)
def well_behaved(upstream: Upstream) -> None:
    upstream.behave(Behaviour())


async def refused(client: Client, tool: str, **arguments: Any) -> str:
    result = await client.call_tool(tool, arguments)
    assert result.is_error, result.structured_content
    return " ".join(getattr(content, "text", "") for content in result.content)


async def credits(client: Client) -> float:
    wallet = await called(client, "wallet")
    assert wallet["held"] == 0
    found: float = wallet["credits"]
    return found


@both_revisions
async def test_tools_say_what_they_do(mcp_server: Installation, ann: Person, mode: Any, revision: str) -> None:
    async with connected(mcp_server, token=ann.access_token, mode=mode) as client:
        assert client.protocol_version == revision
        assert client.server_info.name == "Cloudyard"
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert READING | {"chat", "upload_file", "delete_file"} == tools.keys()
        for tool in tools.values():
            assert tool.description
            assert tool.output_schema is not None
            assert tool.annotations is not None
            assert tool.annotations.read_only_hint is (tool.name in READING)
            assert bool(tool.annotations.destructive_hint) is (tool.name == "delete_file")


@both_revisions
async def test_files_are_kept_read_listed_and_deleted(
    mcp_server: Installation, ann: Person, mode: Any, revision: str
) -> None:
    async with connected(mcp_server, token=ann.access_token, mode=mode) as client:
        first = await called(client, "upload_file", filename="notes.md", text="Grüße\n", content_type="text/markdown")
        second = await called(client, "upload_file", filename="plain", text="")
        assert (first["filename"], first["size"], second["size"]) == ("notes.md", 8, 0)
        page = await called(client, "list_files", limit=1)
        assert ([file["id"] for file in page["files"]], page["next"]) == ([second["id"]], second["id"])
        page = await called(client, "list_files", limit=1, after=page["next"])
        assert (page["files"], page["next"]) == ([first], None)
        read = await called(client, "read_file", file_id=first["id"])
        assert (read["text"], read["file"], read["next_offset"]) == ("Grüße\n", first, None)
        assert (await called(client, "read_file", file_id=second["id"]))["text"] == ""
        assert await called(client, "delete_file", file_id=first["id"]) == {"deleted": first["id"]}
        assert first["id"] in await refused(client, "read_file", file_id=first["id"])
        assert first["id"] in await refused(client, "delete_file", file_id=first["id"])


async def test_a_long_text_comes_in_pieces_that_cut_no_character(mcp_server: Installation, ann: Person) -> None:
    text = "x" + "€" * 30_000
    async with connected(mcp_server, token=ann.access_token) as client:
        file = await called(client, "upload_file", filename="long.txt", text=text)
        read, offset, pieces = "", 0, 0
        while offset is not None:
            piece = await called(client, "read_file", file_id=file["id"], offset=offset)
            read, offset, pieces = read + piece["text"], piece["next_offset"], pieces + 1
        assert (read, pieces) == (text, 2)
        assert "UTF-8" in await refused(client, "read_file", file_id=file["id"], offset=2)
        assert "beyond" in await refused(client, "read_file", file_id=file["id"], offset=10**6)


async def test_files_of_others_are_unknown_even_where_they_are_public(
    mcp_server: Installation, ann: Person, bob: Person
) -> None:
    async def chunks() -> Any:
        yield b"hello"

    upload = mcp_server.services.files.upload(
        bob.id, filename="bobs.txt", content_type="text/plain", chunks=chunks(), public=True
    )
    file = mcp_server.run(upload)
    async with connected(mcp_server, token=ann.access_token) as client:
        assert (await called(client, "list_files"))["files"] == []
        for tool in ("read_file", "delete_file"):
            assert file.id in await refused(client, tool, file_id=file.id)
    assert mcp_server.run(mcp_server.services.files.get(bob.id, file.id)) == file


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("upload_file", {"filename": "", "text": "x"}),
        ("upload_file", {"filename": "x", "text": "x" * (1024 * 1024 + 1)}),
        ("upload_file", {"filename": "x"}),
        ("read_file", {"file_id": "../../etc/passwd"}),
        ("read_file", {"file_id": "\x00"}),
        ("read_file", {"file_id": "file-x", "offset": -1}),
        ("list_files", {"limit": 0}),
        ("list_files", {"limit": 101}),
        ("list_files", {"after": "no/id"}),
        ("chat_history", {"skip": -1}),
        ("credit_history", {"skip": 10**30}),
        ("chat", {"message": "x", "idempotency_key": ""}),
        ("chat", {"message": "x", "idempotency_key": "x" * 256}),
        ("no_such_tool", {}),
    ],
)
async def test_what_makes_no_sense_is_refused(
    mcp_server: Installation, ann: Person, tool: str, arguments: dict[str, Any]
) -> None:
    async with connected(mcp_server, token=ann.access_token) as client:
        assert tool in (said := await refused(client, tool, **arguments)) or "file" in said
        assert await credits(client) == 100


async def test_binary_files_are_not_read_as_text(mcp_server: Installation, ann: Person) -> None:
    async def chunks() -> Any:
        yield bytes(range(256))

    upload = mcp_server.services.files.upload(ann.id, filename="raw.bin", content_type=None, chunks=chunks())
    file = mcp_server.run(upload)
    async with connected(mcp_server, token=ann.access_token) as client:
        assert "UTF-8" in await refused(client, "read_file", file_id=file.id)


@both_revisions
async def test_what_was_asked_is_history(mcp_server: Installation, ann: Person, mode: Any, revision: str) -> None:
    async with connected(mcp_server, token=ann.access_token, mode=mode) as client:
        for question in ("First?", "Second?"):
            answer = await called(client, "chat", message=question, max_tokens=50)
            assert (answer["text"], answer["finish_reason"]) == (TEXT, "stop")
        newest, oldest = await called(client, "chat_history")
        assert (newest["question"], newest["answer"], newest["model"]) == ("Second?", TEXT, "parrot")
        assert await called(client, "chat_history", limit=5, skip=1) == [oldest]
        lines = await called(client, "credit_history", limit=2)
        assert [line["amount"] for line in lines] == [pytest.approx(-COST)] * 2
        assert len(await called(client, "credit_history", skip=2)) == 1
        assert await credits(client) == pytest.approx(100 - 2 * COST)


@both_revisions
async def test_an_answer_comes_as_progress_too(mcp_server: Installation, ann: Person, mode: Any, revision: str) -> None:
    heard: list[tuple[float, str | None]] = []

    async def hear(progress: float, _total: float | None, message: str | None) -> None:
        heard.append((progress, message))

    async with connected(mcp_server, token=ann.access_token, mode=mode) as client:
        result = await client.call_tool("chat", {"message": "Where?", "max_tokens": 50}, progress_callback=hear)
        assert result.structured_content is not None
        assert result.structured_content["text"] == TEXT
    assert heard == [(number, piece) for number, piece in enumerate(PIECES, 1)]


@both_revisions
async def test_a_repetition_by_its_key_is_answered_and_not_charged(
    mcp_server: Installation, ann: Person, bob: Person, upstream: Upstream, mode: Any, revision: str
) -> None:
    asked: dict[str, Any] = {"message": "Once?", "max_tokens": 50, "idempotency_key": "my key"}
    async with connected(mcp_server, token=ann.access_token, mode=mode) as client:
        before = len(upstream.calls)
        first = await called(client, "chat", **asked)
        assert await called(client, "chat", **asked) == first
        assert len(upstream.calls) == before + 1
        assert await credits(client) == pytest.approx(100 - COST)
        assert len(await called(client, "chat_history")) == 1
        assert "already used" in await refused(client, "chat", **{**asked, "message": "Another?"})
        assert "`idempotency_key`" in await refused(client, "chat", **{**asked, "message": "Another?"})
    async with connected(mcp_server, token=bob.access_token, mode=mode) as client:
        await called(client, "chat", **asked)
        assert await credits(client) == pytest.approx(100 - COST)


async def test_a_question_that_failed_may_come_again_with_its_key(
    mcp_server: Installation, ann: Person, upstream: Upstream
) -> None:
    asked: dict[str, Any] = {"message": "Once?", "max_tokens": 50, "idempotency_key": "again"}
    async with connected(mcp_server, token=ann.access_token) as client:
        upstream.behave(Behaviour(status=500))
        told = await refused(client, "chat", **asked)
        assert "failed with 500" in told and "scripted" not in told
        upstream.behave(Behaviour())
        assert (await called(client, "chat", **asked))["text"] == TEXT
        assert await credits(client) == pytest.approx(100 - COST)


async def test_repetitions_side_by_side_are_charged_once(
    mcp_server: Installation, ann: Person, upstream: Upstream
) -> None:
    upstream.behave(Behaviour(pause=0.02))
    asked = {"message": "Once?", "max_tokens": 50, "idempotency_key": "together"}
    async with connected(mcp_server, token=ann.access_token) as client:
        results = await asyncio.gather(*(client.call_tool("chat", asked) for _ in range(5)))
        assert any(not result.is_error for result in results)
        assert all("still running" in str(result.content) for result in results if result.is_error)
        assert await credits(client) == pytest.approx(100 - COST)


@both_revisions
async def test_a_caller_who_leaves_pays_what_was_generated_and_no_more(
    mcp_server: Installation, ann: Person, upstream: Upstream, mode: Any, revision: str
) -> None:
    pieces = tuple(f" {number}" for number in range(400))
    upstream.behave(Behaviour(pieces=pieces, pause=0.05))
    begun = asyncio.Event()

    async def hear(progress: float, _total: float | None, _message: str | None) -> None:
        if progress >= 3:
            begun.set()

    asked = {"message": "Count.", "max_tokens": 500, "idempotency_key": "left"}
    async with connected(mcp_server, token=ann.access_token, mode=mode) as client:
        call = asyncio.create_task(client.call_tool("chat", asked, progress_callback=hear))
        await begun.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        settled = await eventually(lambda: called(client, "wallet"), lambda wallet: wallet["held"] == 0)
        paid = 100 - settled["credits"]
        assert 0 < paid < 0.1 * len(pieces)
        await until(lambda: upstream.calls[-1].outcome == "abandoned")
        assert "cut short" in await refused(client, "chat", **asked)
        assert await credits(client) == settled["credits"]


@pytest.mark.parametrize(
    ("scopes", "allowed"),
    [
        (["files"], {"list_models", "list_files"}),
        (["wallet"], {"list_models", "wallet", "credit_history"}),
        (["inference"], {"list_models", "chat_history"}),
    ],
)
async def test_a_key_reaches_as_far_as_its_scopes(
    mcp_server: Installation, ann: Person, scopes: list[str], allowed: set[str]
) -> None:
    _, key = mcp_server.run(mcp_server.services.api_keys.create(ann.id, name="agent", scopes=scopes))
    async with connected(mcp_server, token=key) as client:
        for tool in READING - {"read_file"}:
            result = await client.call_tool(tool, {})
            assert result.is_error is (tool not in allowed), (tool, result.content)
        writes = [("upload_file", {"filename": "x", "text": "x"}), ("read_file", {"file_id": "file-x"})]
        for tool, arguments in writes:
            assert ("may not be used for" in str((await client.call_tool(tool, arguments)).content)) is (
                scopes != ["files"]
            )


async def test_a_key_asks_the_models_that_it_may(mcp_server: Installation, ann: Person) -> None:
    _, key = mcp_server.run(mcp_server.services.api_keys.create(ann.id, name="agent", allowed_models=["other"]))
    async with connected(mcp_server, token=key) as client:
        assert await called(client, "list_models") == []
        assert "may not use the model" in await refused(client, "chat", message="Where?", max_tokens=5)


async def test_calls_count_against_the_keys_own_limit(mcp_server: Installation, ann: Person) -> None:
    _, key = mcp_server.run(mcp_server.services.api_keys.create(ann.id, name="slow", requests_per_minute=3))
    headers = {**own_address(), "Authorization": f"Bearer {key}"}
    async with httpx2.AsyncClient(base_url=mcp_server.url, headers=headers) as http:
        statuses = [(await http.post("/mcp", json={})).status_code for _ in range(4)]
    assert statuses[-1] == 429
    assert 429 not in statuses[:3]


async def test_nobody_cancels_the_call_of_another(
    mcp_server: Installation, ann: Person, bob: Person, upstream: Upstream
) -> None:
    pieces = tuple(f" {number}" for number in range(60))
    upstream.behave(Behaviour(pieces=pieces, pause=0.02))
    begun = asyncio.Event()

    async def hear(_progress: float, _total: float | None, _message: str | None) -> None:
        begun.set()

    async with connected(mcp_server, token=ann.access_token, mode="legacy") as client:
        asked = {"message": "Count.", "max_tokens": 100}
        call = asyncio.create_task(client.call_tool("chat", asked, progress_callback=hear))
        await begun.wait()
        await cancel_everything(mcp_server, bob)
        result = await call
        assert not result.is_error
        assert result.structured_content is not None
        assert result.structured_content["completion_tokens"] == len(pieces)


async def cancel_everything(server: Installation, person: Person) -> None:
    headers = {
        **own_address(),
        "Authorization": f"Bearer {person.access_token}",
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": "2025-11-25",
    }
    async with httpx2.AsyncClient(base_url=server.url, headers=headers) as http:
        for meant in (*range(20), "1", None, [1], {}):
            note = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": meant}}
            assert (await http.post("/mcp", json=note)).status_code < 500
