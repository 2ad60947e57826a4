"""OAuth as the official client uses it: it finds out by itself where to register, to ask and to get tokens."""

from typing import Any

import httpx2
from mcp_people import (
    BACK,
    PASSWORD,
    Browser,
    ClientDocuments,
    Person,
    Storage,
    application,
    both_revisions,
    called,
    connected,
    own_address,
    parsed_query,
)

from cloudyard.domains.identity import UserStatus
from cloudyard.testing.installation import Installation


@both_revisions
async def test_the_official_client_is_let_in_by_a_user(
    mcp_server: Installation, ann: Person, mode: Any, revision: str
) -> None:
    browser, storage = Browser(ann), Storage()
    async with connected(mcp_server, auth=application(mcp_server, browser, storage), mode=mode) as client:
        assert client.protocol_version == revision
        assert await called(client, "wallet") == {"credits": 100, "held": 0}
    assert browser.landed.startswith(BACK)
    assert storage.tokens is not None
    assert storage.tokens.scope == "files inference wallet"


@both_revisions
async def test_an_application_gets_new_tokens_by_itself(
    mcp_server: Installation, ann: Person, mode: Any, revision: str
) -> None:
    browser, storage = Browser(ann), Storage()
    auth = application(mcp_server, browser, storage)
    async with connected(mcp_server, auth=auth, mode=mode) as client:
        assert storage.tokens is not None
        first, browser.landed = storage.tokens, ""
        auth.context.token_expiry_time = 1.0  # as if the hour were over
        assert await called(client, "wallet") == {"credits": 100, "held": 0}
        assert storage.tokens.access_token != first.access_token
        assert storage.tokens.refresh_token != first.refresh_token
    assert browser.landed == ""


async def test_what_was_not_allowed_is_asked_for_when_it_is_needed(mcp_server: Installation, ann: Person) -> None:
    browser, storage = Browser(ann, untick=frozenset({"wallet", "files"})), Storage()
    async with connected(mcp_server, auth=application(mcp_server, browser, storage)) as client:
        assert storage.tokens is not None
        assert storage.tokens.scope == "inference"
        browser.untick, browser.landed = frozenset({"files"}), ""
        assert await called(client, "wallet") == {"credits": 100, "held": 0}
        assert browser.landed
        assert storage.tokens.scope == "inference wallet"


async def test_a_refusal_for_want_of_a_right_says_which(mcp_server: Installation, ann: Person) -> None:
    browser, storage = Browser(ann, untick=frozenset({"wallet", "files"})), Storage()
    async with connected(mcp_server, auth=application(mcp_server, browser, storage)):
        pass
    assert storage.tokens is not None
    headers = {"Authorization": f"Bearer {storage.tokens.access_token}", "Mcp-Method": "tools/call"}
    async with httpx2.AsyncClient(base_url=mcp_server.url, headers=headers) as http:
        for named in ({"Mcp-Name": "wallet"}, {"Mcp-Method": "resources/read", "Mcp-Name": "cloudyard://wallet"}):
            answer = await http.post("/mcp", json={}, headers=named)
            assert answer.status_code == 403
            challenge = answer.headers["www-authenticate"]
            assert challenge.startswith('Bearer error="insufficient_scope", resource_metadata="http://127.0.0.1:')
            assert challenge.endswith('scope="wallet"')
        assert (await http.post("/mcp", json={}, headers={"Mcp-Name": "chat"})).status_code != 403


async def test_without_the_headers_each_tool_refuses_by_itself(mcp_server: Installation, ann: Person) -> None:
    browser, storage = Browser(ann, untick=frozenset({"wallet", "files"})), Storage()
    auth = application(mcp_server, browser, storage)
    async with connected(mcp_server, auth=auth, mode="legacy") as client:
        for tool in ("wallet", "credit_history", "list_files"):
            result = await client.call_tool(tool, {})
            assert result.is_error
            assert "may not be used for" in str(result.content)
        assert (await client.call_tool("chat_history", {})).is_error is False


@both_revisions
async def test_what_a_user_ends_is_over_at_once(
    mcp_server: Installation, ann: Person, mode: Any, revision: str
) -> None:
    storage = Storage()
    async with connected(mcp_server, auth=application(mcp_server, Browser(ann), storage), mode=mode) as client:
        await called(client, "wallet")
    assert storage.tokens is not None
    bearer = {"Authorization": f"Bearer {ann.access_token}"}
    async with httpx2.AsyncClient(base_url=mcp_server.url, headers=own_address()) as http:
        (listed,) = (await http.get("/aihub/api/users/me/applications", headers=bearer)).json()["data"]
        assert (listed["name"], listed["scopes"]) == ("Test tool", ["files", "inference", "wallet"])
        assert storage.client is not None
        assert listed["clientId"] == storage.client.client_id
        ending = f"/aihub/api/users/me/applications/{listed['id']}"
        assert (await http.delete(ending, headers=bearer)).status_code == 200
        assert (await http.delete(ending, headers=bearer)).status_code == 404
        assert (await http.get("/aihub/api/users/me/applications", headers=bearer)).json()["data"] == []
        token = {"Authorization": f"Bearer {storage.tokens.access_token}"}
        assert (await http.post("/mcp", json={}, headers=token)).status_code == 401


async def test_suspension_and_a_new_password_end_it_at_once(mcp_server: Installation, ann: Person, bob: Person) -> None:
    services, bearers = mcp_server.services, []
    for person in (ann, bob):
        storage = Storage()
        async with connected(mcp_server, auth=application(mcp_server, Browser(person), storage)) as client:
            await called(client, "wallet")
        assert storage.tokens is not None
        bearers.append({"Authorization": f"Bearer {storage.tokens.access_token}"})
    mcp_server.run(services.users.set_status(ann.id, UserStatus.SUSPENDED))
    mcp_server.run(services.recovery.change_password(bob.id, PASSWORD, "another Password 5"))
    async with httpx2.AsyncClient(base_url=mcp_server.url) as http:
        statuses = [(await http.post("/mcp", json={}, headers=bearer)).status_code for bearer in bearers]
    assert statuses == [403, 401]


async def test_an_application_that_lets_itself_be_described(
    mcp_server: Installation, ann: Person, client_documents: ClientDocuments
) -> None:
    url = client_documents.publish({"client_name": "Described tool", "redirect_uris": [BACK]})
    browser, storage = Browser(ann), Storage()
    auth = application(mcp_server, browser, storage, document=url)
    async with connected(mcp_server, auth=auth) as client:
        await called(client, "wallet")
    assert storage.client is not None
    assert storage.client.client_id == url
    (listed,) = mcp_server.run(mcp_server.services.delegations.list(ann.id))
    assert (listed.client_id, listed.client_name) == (url, "Described tool")
    asked = {"client_id": url, "redirect_uri": "https://evil.example/", "response_type": "code"}
    async with httpx2.AsyncClient(base_url=mcp_server.url, headers=own_address()) as http:
        assert (await http.get("/oauth/authorize", params=asked)).status_code == 400
        page = await http.get("/oauth/authorize", params=parsed_query(browser.asked))
        assert "known through 127.0.0.1" in page.text
