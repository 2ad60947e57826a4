"""AI Chat and WebSocket API of pynode.md, with a real model and a ledger that is read afterwards."""

import json
import time
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from structlog.testing import capture_logs
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from cloudyard.foundation.limiting import Limit, Verdict
from cloudyard.testing.failing_commits import no_commits
from cloudyard.testing.installation import Installation

Account = dict[str, Any]
QUESTION = "Hello, how can you help me with writing a short letter to a friend whom I have not seen for years?"
HELLO = {"message": QUESTION, "model": "gpt-4", "temperature": 0.7, "max_tokens": 16}


def wallet(server: Installation, account: Account) -> tuple[int, int]:
    """What the account has left, and what is set aside."""
    found = server.run(server.services.ledger.wallet(account["user"]["id"]))
    return found.available, found.held


def nanos(usd: float) -> int:
    return round(usd * 1_000_000_000)


def test_an_answer_has_the_documents_fields_and_is_charged(
    client: httpx2.Client, ann: Account, pynode_server: Installation
) -> None:
    before, _ = wallet(pynode_server, ann)
    answer = client.post("/api/chat", json=HELLO, headers=ann["auth"])
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert found.keys() == {"id", "message", "model", "usage", "created_at"}
    assert found["model"] == "gpt-4"
    assert answer.headers["x-cloudyard-model"] == "smollm2-135m"
    assert found["message"]
    usage = found["usage"]
    assert usage["prompt_tokens"] > 0
    assert 0 < usage["completion_tokens"] <= 16
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert nanos(usage["cost"]) == usage["prompt_tokens"] * 150 + usage["completion_tokens"] * 600
    assert wallet(pynode_server, ann) == (before - nanos(usage["cost"]), 0)


def test_the_short_form_is_answered_by_the_default_model(client: httpx2.Client, ann: Account) -> None:
    answer = client.post("/api/chat", json={"message": "Hello, AI!", "max_tokens": 4}, headers=ann["auth"])
    assert (answer.status_code, answer.json()["model"]) == (200, "smollm2-135m")


def test_history_has_what_was_said_newest_first_and_is_private(
    client: httpx2.Client, ann: Account, join: Callable[[], Account]
) -> None:
    ids = [
        client.post("/api/chat", json={**HELLO, "message": f"Number {n}", "max_tokens": 4}, headers=ann["auth"]).json()[
            "id"
        ]
        for n in range(3)
    ]
    found = client.get("/api/chat/history", headers=ann["auth"]).json()
    assert (found["total"], found["limit"], found["offset"]) == (3, 50, 0)
    assert [m["id"] for m in found["messages"]] == ids[::-1]
    assert found["messages"][0].keys() == {"id", "message", "response", "model", "created_at"}
    assert (found["messages"][0]["message"], found["messages"][0]["model"]) == ("Number 2", "gpt-4")
    page = client.get("/api/chat/history?limit=1&offset=1", headers=ann["auth"]).json()
    assert ([m["id"] for m in page["messages"]], page["limit"], page["offset"]) == ([ids[1]], 1, 1)
    assert client.get("/api/chat/history?offset=1000", headers=ann["auth"]).json()["messages"] == []
    assert client.get("/api/chat/history", headers=join()["auth"]).json()["messages"] == []


@pytest.mark.parametrize("query", ["limit=-1", "limit=0", "limit=201", "offset=-1", "limit=many", "offset=1e9"])
def test_bad_paging_is_refused(client: httpx2.Client, ann: Account, query: str) -> None:
    answer = client.get(f"/api/chat/history?{query}", headers=ann["auth"])
    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_PARAMETERS")


@pytest.mark.parametrize(
    ("change", "status", "code", "field"),
    [
        ({"message": None}, 400, "INVALID_PARAMETERS", "message"),
        ({"message": ""}, 400, "INVALID_PARAMETERS", "message"),
        ({"message": "   "}, 400, "INVALID_PARAMETERS", "messages"),
        ({"temperature": "hot"}, 400, "INVALID_PARAMETERS", "temperature"),
        ({"temperature": 3}, 400, "INVALID_PARAMETERS", "temperature"),
        ({"max_tokens": -1}, 400, "INVALID_PARAMETERS", "max_tokens"),
        ({"max_tokens": 0}, 400, "INVALID_PARAMETERS", "max_tokens"),
        ({"max_tokens": 10**9}, 400, "INVALID_PARAMETERS", "max_tokens"),
        ({"model": "no-such-model"}, 404, "RESOURCE_NOT_FOUND", "model"),
        ({"model": "all-minilm-l6-v2"}, 400, "INVALID_PARAMETERS", "model"),
    ],
)
def test_a_bad_request_is_refused_and_nothing_charged(
    client: httpx2.Client,
    ann: Account,
    pynode_server: Installation,
    change: dict[str, Any],
    status: int,
    code: str,
    field: str,
) -> None:
    before = wallet(pynode_server, ann)
    answer = client.post("/api/chat", json={**HELLO, **change}, headers=ann["auth"])
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert answer.json()["details"]["field"] == field
    assert wallet(pynode_server, ann) == before


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b'{"message": "Hello", ', "application/json", 400),
        (b"\xff\xfe", "application/json", 400),
        (b'{"message": "Hello"}', "text/plain", 415),
        (b"message=Hello", "application/x-www-form-urlencoded", 415),
        (b'{"message": "' + b"x" * 100_000 + b'"}', "application/json", 413),
    ],
)
def test_a_body_that_cannot_be_read_is_refused(
    client: httpx2.Client, ann: Account, body: bytes, content_type: str, status: int
) -> None:
    answer = client.post("/api/chat", content=body, headers={**ann["auth"], "Content-Type": content_type})
    assert answer.status_code == status
    assert answer.json().keys() >= {"error", "message", "code"}


def test_who_cannot_pay_is_told_so(client: httpx2.Client, ann: Account, pynode_server: Installation) -> None:
    services = pynode_server.services
    available, _ = wallet(pynode_server, ann)
    pynode_server.run(services.ledger.adjust(ann["user"]["id"], 1 - available, reason="emptied", actor=None))
    answer = client.post("/api/chat", json=HELLO, headers=ann["auth"])
    assert (answer.status_code, answer.json()["code"]) == (402, "INSUFFICIENT_CREDITS")
    assert wallet(pynode_server, ann) == (1, 0)


def test_a_repeated_key_is_answered_again_and_charged_once(
    client: httpx2.Client, ann: Account, pynode_server: Installation
) -> None:
    headers = {**ann["auth"], "Idempotency-Key": "chat-1"}
    first = client.post("/api/chat", json=HELLO, headers=headers)
    after_first = wallet(pynode_server, ann)
    again = client.post("/api/chat", json=HELLO, headers=headers)
    assert first.status_code == again.status_code == 200
    assert first.json() == again.json()
    assert again.headers["idempotency-replayed"] == "true"
    assert wallet(pynode_server, ann) == after_first
    assert client.get("/api/chat/history", headers=ann["auth"]).json()["total"] == 1
    other = client.post("/api/chat", json={**HELLO, "message": "Another"}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")


def test_a_client_that_leaves_pays_for_what_was_generated(
    client: httpx2.Client, ann: Account, pynode_server: Installation
) -> None:
    long = {**HELLO, "message": "Write a long story.", "max_tokens": 900}
    before, _ = wallet(pynode_server, ann)
    left, key = before, ""
    for seconds in (1, 3, 6):  # until the model had time to say something
        key = f"left after {seconds}"
        with pytest.raises(httpx2.TimeoutException):
            client.post(
                "/api/chat", json=long, headers={**ann["auth"], "Idempotency-Key": key}, timeout=httpx2.Timeout(seconds)
            )
        deadline = time.monotonic() + 20
        while wallet(pynode_server, ann)[1] and time.monotonic() < deadline:
            time.sleep(0.05)
        left, held = wallet(pynode_server, ann)
        assert held == 0
        if left < before:
            break
    assert left < before
    again = client.post("/api/chat", json=long, headers={**ann["auth"], "Idempotency-Key": key})
    assert (again.status_code, again.json()["code"]) == (502, "UPSTREAM_ERROR")
    assert "the caller left" in again.json()["message"]
    assert wallet(pynode_server, ann) == (left, 0)
    (turn,) = client.get("/api/chat/history", headers=ann["auth"]).json()["messages"]
    assert turn["message"] == long["message"]


def opened(base: str, account: Account, **options: Any) -> ClientConnection:
    return connect(f"{base.replace('http', 'ws', 1)}/ws?token={account['access_token']}", **options)


def ask(socket: ClientConnection, message: object) -> Any:
    socket.send(json.dumps(message))
    return json.loads(socket.recv(timeout=60))


def test_chat_over_a_websocket(base: str, client: httpx2.Client, ann: Account, pynode_server: Installation) -> None:
    before, _ = wallet(pynode_server, ann)
    with opened(base, ann) as socket:
        found = ask(socket, {"type": "chat", "data": {"message": "Hello, AI!", "model": "gpt-4", "max_tokens": 8}})
        assert found["type"] == "chat_response"
        assert found["data"]["message"]
        assert found["data"]["model"] == "gpt-4"
        again = ask(socket, {"type": "chat", "id": 7, "data": {"message": "And you?", "max_tokens": 8}})
        assert again["id"] == 7
    history = client.get("/api/chat/history", headers=ann["auth"]).json()["messages"]
    assert [m["id"] for m in history] == [again["data"]["id"], found["data"]["id"]]
    spent = nanos(found["data"]["usage"]["cost"]) + nanos(again["data"]["usage"]["cost"])
    assert wallet(pynode_server, ann) == (before - spent, 0)


def test_pieces_come_as_they_are_written_when_asked_for(base: str, ann: Account) -> None:
    with opened(base, ann) as socket:
        asked = {"type": "chat", "data": {"message": "Count to ten.", "max_tokens": 16, "stream": True}}
        messages = [ask(socket, asked)]
        while messages[-1]["type"] == "chat_chunk":
            messages.append(json.loads(socket.recv(timeout=60)))
    assert messages[-1]["type"] == "chat_response"
    pieces = [m["data"]["message"] for m in messages[:-1]]
    assert len(pieces) > 1
    assert "".join(pieces) == messages[-1]["data"]["message"]


@pytest.mark.parametrize(
    ("message", "code", "field"),
    [
        ({"type": "dance"}, "INVALID_PARAMETERS", "type"),
        (["chat"], "INVALID_PARAMETERS", "type"),
        ({"type": "chat"}, "INVALID_PARAMETERS", "data"),
        ({"type": "chat", "data": {"model": "gpt-4"}}, "INVALID_PARAMETERS", "data.message"),
        ({"type": "chat", "data": {"message": "Hi", "temperature": "hot"}}, "INVALID_PARAMETERS", "data.temperature"),
        ({"type": "chat", "data": {"message": "Hi", "model": "nobody"}}, "RESOURCE_NOT_FOUND", "model"),
    ],
)
def test_a_bad_message_is_answered_and_the_connection_lives(
    base: str, ann: Account, message: object, code: str, field: str
) -> None:
    with opened(base, ann) as socket:
        found = ask(socket, message)
        assert (found["type"], found["data"]["code"]) == ("error", code)
        assert found["data"]["details"]["field"] == field
        socket.send("{broken")
        assert json.loads(socket.recv())["data"]["code"] == "INVALID_PARAMETERS"
        assert ask(socket, {"type": "chat", "data": {"message": "Hi", "max_tokens": 2}})["type"] == "chat_response"


def test_what_is_for_operators_is_logged_and_not_told(base: str, ann: Account) -> None:
    with opened(base, ann) as socket, no_commits(), capture_logs() as logs:
        told = ask(socket, {"type": "chat", "data": {**HELLO, "stream": True}})
    assert told["type"] == "error"
    assert "The database cannot be used at the moment." in json.dumps(told)
    assert "no space left" not in json.dumps(told)
    withheld = [entry for entry in logs if entry["event"] == "request failed"]
    assert [entry["code"] for entry in withheld] == ["database_unavailable"]
    assert "no space left" in withheld[0]["reason"]


def test_a_reader_that_leaves_stops_the_model_and_pays_for_what_came(
    base: str, ann: Account, pynode_server: Installation
) -> None:
    before, _ = wallet(pynode_server, ann)
    with opened(base, ann) as socket:
        asked = {"message": "Write a very long story.", "max_tokens": 900, "stream": True}
        assert ask(socket, {"type": "chat", "data": asked})["type"] == "chat_chunk"
    deadline = time.monotonic() + 10
    while wallet(pynode_server, ann)[1] and time.monotonic() < deadline:
        time.sleep(0.05)
    after, held = wallet(pynode_server, ann)
    assert held == 0
    assert before - 900 * 600 < after < before


def test_too_many_messages_at_once_are_refused_and_the_others_answered(base: str, ann: Account) -> None:
    with opened(base, ann) as socket:
        for number in range(14):
            message = {"type": "chat", "id": number, "data": {"message": "Hi", "max_tokens": 2}}
            socket.send(json.dumps(message))
        answers = [json.loads(socket.recv(timeout=60)) for _ in range(14)]
    refused = [a["id"] for a in answers if a["type"] == "error"]
    served = [a["id"] for a in answers if a["type"] == "chat_response"]
    assert len(refused) >= 1
    assert served == sorted(served)
    assert len(served) >= 8
    assert sorted(refused + served) == list(range(14))


def test_a_session_that_ended_is_refused_on_an_open_connection(base: str, client: httpx2.Client, ann: Account) -> None:
    with opened(base, ann) as socket:
        assert ask(socket, {"type": "chat", "data": {"message": "Hi", "max_tokens": 2}})["type"] == "chat_response"
        client.post("/api/auth/logout", headers=ann["auth"])
        found = ask(socket, {"type": "chat", "data": {"message": "Hi", "max_tokens": 2}})
        assert (found["type"], found["data"]["code"]) == ("error", "INVALID_TOKEN")


def test_messages_count_under_the_callers_limit(base: str, ann: Account, pynode_server: Installation) -> None:
    key = f"pynode:api:user:{ann['user']['id']}"
    store = pynode_server.services.limits
    with opened(base, ann) as socket:
        taken = pynode_server.run(store.peek(key, Limit(100, 900)))
        pynode_server.run(store.take(key, Limit(100, 900), taken.remaining - 1))
        assert ask(socket, {"type": "chat", "data": {"message": "Hi", "max_tokens": 2}})["type"] == "chat_response"
        refused = ask(socket, {"type": "chat", "data": {"message": "Hi", "max_tokens": 2}})
    assert refused["data"]["code"] == "RATE_LIMIT_EXCEEDED"
    assert 1 <= refused["data"]["retry_after"] <= 900


TOKENS = 300


@pytest.fixture
def limited(ann: Account, pynode_server: Installation) -> Account:
    """Somebody with a key that has a limit of tokens a minute."""
    work = pynode_server.services.api_keys.create(ann["user"]["id"], name="limited", tokens_per_minute=TOKENS)
    key, secret = pynode_server.run(work)
    return {**ann, "key": key.id, "access_token": secret, "auth": {"Authorization": f"Bearer {secret}"}}


def check_refused_for_tokens(error: dict[str, Any], left: int) -> None:
    assert (error["error"], error["code"]) == ("Too Many Requests", "RATE_LIMIT_EXCEEDED")
    assert f"about {left + 1}, {left} of {TOKENS} in 60 seconds" in error["message"]
    assert error["details"] == {"rule": "tokens", "limit": TOKENS, "window_seconds": 60}
    assert 1 <= error["retry_after"] <= 60


def test_a_keys_tokens_a_minute_hold_on_every_way_to_chat_and_on_v1_together(
    base: str, client: httpx2.Client, limited: Account, pynode_server: Installation
) -> None:
    chat = {"message": "Hi", "model": "gpt-4", "max_tokens": 40}
    completion = {"model": "gpt-4", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 40}
    v1 = f"{pynode_server.url}/v1/chat/completions"
    with opened(base, limited) as socket:
        answers = [
            client.post("/api/chat", json=chat, headers=limited["auth"]).json(),
            last_of(socket, chat)["data"],
            last_of(socket, {**chat, "stream": True})["data"],
            client.post(v1, json=completion, headers=limited["auth"]).json(),
        ]
        left = TOKENS - sum(max(40, answer["usage"]["total_tokens"]) for answer in answers)
        before = wallet(pynode_server, limited)
        too_much = {**chat, "max_tokens": left + 1}
        for stream in (False, True):
            refused = last_of(socket, {**too_much, "stream": stream})
            assert refused["type"] == "error"
            check_refused_for_tokens(refused["data"], left)
    answer = client.post("/api/chat", json=too_much, headers=limited["auth"])
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == str(answer.json()["retry_after"])
    check_refused_for_tokens(answer.json(), left)
    refused_by_v1 = client.post(v1, json={**completion, "max_tokens": left + 1}, headers=limited["auth"])
    assert (refused_by_v1.status_code, refused_by_v1.json()["error"]["type"]) == (429, "tokens")
    assert wallet(pynode_server, limited) == before


def test_a_call_larger_than_the_keys_limit_is_told_so(client: httpx2.Client, limited: Account) -> None:
    answer = client.post("/api/chat", json={**HELLO, "max_tokens": TOKENS + 1}, headers=limited["auth"])
    assert (answer.status_code, answer.json()["code"]) == (429, "RATE_LIMIT_EXCEEDED")
    assert "too large" in answer.json()["message"]
    assert "retry-after" not in answer.headers
    assert "retry_after" not in answer.json()


@pytest.mark.parametrize("way", ["http", "websocket", "stream"])
def test_what_an_answer_used_beyond_its_estimate_is_made_up_for(
    base: str, client: httpx2.Client, limited: Account, pynode_server: Installation, way: str
) -> None:
    asked = {"message": "Hi", "max_tokens": 4}
    if way == "http":
        usage = client.post("/api/chat", json=asked, headers=limited["auth"]).json()["usage"]
    else:
        with opened(base, limited) as socket:
            usage = last_of(socket, {**asked, "stream": way == "stream"})["data"]["usage"]
    assert usage["total_tokens"] > 4
    assert tokens_left(limited, pynode_server) == TOKENS - usage["total_tokens"]


def test_what_a_reader_that_left_was_sent_is_made_up_for(
    base: str, limited: Account, pynode_server: Installation
) -> None:
    asked: dict[str, Any] = {"message": "Write a very long story.", "stream": True}
    with opened(base, limited) as socket:
        assert ask(socket, {"type": "chat", "data": asked})["type"] == "chat_chunk"
    expected = TOKENS - len(asked["message"]) // 4
    deadline = time.monotonic() + 10
    while tokens_left(limited, pynode_server) == expected and time.monotonic() < deadline:
        time.sleep(0.05)
    assert tokens_left(limited, pynode_server) < expected


def test_a_repeated_key_takes_no_tokens_again(
    client: httpx2.Client, limited: Account, pynode_server: Installation
) -> None:
    headers = {**limited["auth"], "Idempotency-Key": "tokens-1"}
    answers = [client.post("/api/chat", json={"message": "Hi", "max_tokens": 90}, headers=headers) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    used = answers[0].json()["usage"]["total_tokens"]
    assert tokens_left(limited, pynode_server) == TOKENS - max(90, used)


def test_a_session_has_no_limit_of_tokens(client: httpx2.Client, ann: Account, limited: Account) -> None:
    long = {"message": "Hi. " * (TOKENS + 1), "max_tokens": 2}
    assert client.post("/api/chat", json=long, headers=limited["auth"]).status_code == 429
    assert client.post("/api/chat", json=long, headers=ann["auth"]).status_code == 200


def last_of(socket: ClientConnection, chat: dict[str, Any]) -> Any:
    """What ends the answer to a chat message, after its pieces."""
    found = ask(socket, {"type": "chat", "data": chat})
    while found["type"] == "chat_chunk":
        found = json.loads(socket.recv(timeout=60))
    return found


def tokens_left(account: Account, server: Installation) -> int:
    """What is left to an account's key."""
    found: Verdict = server.run(server.services.limits.peek(f"api-key:{account['key']}:tokens", Limit(TOKENS, 60)))
    return found.remaining


def test_the_token_may_come_in_a_header_and_must_come(base: str, ann: Account) -> None:
    url = f"{base.replace('http', 'ws', 1)}/ws"
    with connect(url, additional_headers=ann["auth"]) as socket:
        assert ask(socket, {"type": "chat", "data": {"message": "Hi", "max_tokens": 2}})["type"] == "chat_response"
    with pytest.raises(InvalidStatus) as refused, connect(url, additional_headers={"X-Forwarded-For": "198.51.100.7"}):
        pass
    assert refused.value.response.status_code == 401
    assert json.loads(refused.value.response.body or b"")["code"] == "AUTHENTICATION_REQUIRED"
