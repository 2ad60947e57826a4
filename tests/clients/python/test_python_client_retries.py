"""What the client does when the server or the way to it fails: a real server on loopback that misbehaves."""

import pickle
import socket
from typing import Any

import httpx2
import pytest
from cloudyard_client import AsyncCloudyard, Cloudyard
from rough_server import DROP, META, Reply, RoughServer, data, error
from smartaihub import (
    APIConnectionError,
    APIError,
    APITimeoutError,
    ConflictError,
    InsufficientCreditsError,
    PaymentFailedError,
    RateLimitError,
    RetryPolicy,
    ServerError,
    ServiceUnavailableError,
    Tokens,
    UnexpectedAnswerError,
    ValidationError,
)
from twins import Client, done, everything, inside

BALANCE = {"userId": "user_123", "balance": 1000, "currency": "credits", "lastUpdated": "2023-10-15T10:30:00Z"}
ADJUSTMENT = {
    "transactionId": "txn_1",
    "userId": "user_123",
    "amount": 5,
    "type": "bonus",
    "reason": "gift",
    "balance": 1005,
    "currency": "credits",
}
CHUNK = b'data: {"id":"c","model":"m","choices":[{"index":0,"delta":{"content":"Hi"},"finishReason":null}]}\n\n'
STREAM = {"Content-Type": "text/event-stream"}
HELLO: Any = {"model": "m", "messages": [{"role": "user", "content": "Hello!"}]}
AWAY = error(503, "SERVICE_UNAVAILABLE")


async def adjust(client: Client, **more: Any) -> Any:
    return await done(client.admin.users.adjust_credits("user_123", 5, reason="gift", type="bonus", **more))


@pytest.mark.parametrize(
    "bad",
    [AWAY, error(500, "INTERNAL_ERROR"), Reply(502, b"<html>Bad Gateway</html>"), DROP, Reply(200, b"{", cut=True)],
)
async def test_a_change_is_sent_again_with_the_same_key(rough: RoughServer, shaky: Client, bad: Reply) -> None:
    rough.script(bad, bad, data(ADJUSTMENT))
    assert (await adjust(shaky)).balance == 1005
    first, *others = rough.asked
    assert first.key
    assert [(asked.key, asked.body) for asked in others] == [(first.key, first.body)] * 2


async def test_every_call_has_a_key_of_its_own_or_the_callers(rough: RoughServer, shaky: Client) -> None:
    rough.script(data(ADJUSTMENT))
    for key in (None, None, "order-17"):
        await adjust(shaky, idempotency_key=key)
    one, two, three = (asked.key for asked in rough.asked)
    assert len({one, two, three}) == 3
    assert three == "order-17"


async def test_the_number_of_retries_is_bounded(rough: RoughServer, shaky: Client) -> None:
    rough.script(AWAY)
    with pytest.raises(ServiceUnavailableError):
        await adjust(shaky)
    assert len(rough.asked) == 1 + RetryPolicy().retries


async def test_no_retries_are_made_where_none_are_wanted(twin: type[Client], rough: RoughServer) -> None:
    rough.script(AWAY)
    async with inside(twin(rough.url, "key", retries=RetryPolicy(retries=0))) as client:
        with pytest.raises(ServerError):
            await done(client.credits.balance())
    assert len(rough.asked) == 1


async def test_retry_after_is_waited_for(rough: RoughServer, shaky: Client) -> None:
    rough.script(error(429, "RATE_LIMIT_EXCEEDED", Retry_After="1"), data(BALANCE))
    assert (await done(shaky.credits.balance())).balance == 1000
    first, second = rough.asked
    assert second.at - first.at >= 1


async def test_a_long_retry_after_is_left_to_the_caller(rough: RoughServer, shaky: Client) -> None:
    rough.script(error(429, "RATE_LIMIT_EXCEEDED", Retry_After="3600"))
    with pytest.raises(RateLimitError) as refused:
        await done(shaky.credits.balance())
    assert refused.value.retry_after == 3600
    assert len(rough.asked) == 1


async def test_what_was_refused_for_the_rate_was_not_done_and_is_sent_again(rough: RoughServer, shaky: Client) -> None:
    user = {"id": "u", "email": "a@b.c", "firstName": "", "lastName": "", "role": "user", "emailVerified": False}
    rough.script(error(429, "RATE_LIMIT_EXCEEDED"), data({"user": {**user, "createdAt": "2023-10-15T10:30:00Z"}}, 201))
    assert (await done(shaky.auth.register("a@b.c", "securePassword123"))).id == "u"
    assert len(rough.asked) == 2


@pytest.mark.parametrize("bad", [AWAY, DROP])
async def test_a_change_without_a_key_is_not_sent_again(rough: RoughServer, shaky: Client, bad: Reply) -> None:
    rough.script(bad)
    with pytest.raises((ServerError, APIConnectionError)):
        await done(shaky.webhooks.create("https://example.com/hook", ["user.created"]))
    assert len(rough.asked) == 1
    assert rough.asked[0].key is None


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (error(422, "VALIDATION_ERROR"), ValidationError),
        (error(402, "INSUFFICIENT_CREDITS"), InsufficientCreditsError),
        (error(402, "PAYMENT_FAILED"), PaymentFailedError),
        (error(409, "RESOURCE_CONFLICT"), ConflictError),
        (error(503, "SERVICE_UNAVAILABLE", Idempotency_Replayed="true"), ServiceUnavailableError),
    ],
)
async def test_what_will_not_change_is_not_asked_again(
    rough: RoughServer, shaky: Client, reply: Reply, kind: type[APIError]
) -> None:
    rough.script(reply)
    with pytest.raises(kind):
        await adjust(shaky)
    assert len(rough.asked) == 1


async def test_a_request_whose_first_try_still_runs_is_waited_for(rough: RoughServer, shaky: Client) -> None:
    rough.script(DROP, error(409, "RESOURCE_CONFLICT", Retry_After="0"), data(ADJUSTMENT))
    assert (await adjust(shaky)).balance == 1005
    assert len({asked.key for asked in rough.asked}) == 1


async def test_a_stream_is_asked_for_again_until_it_begins(rough: RoughServer, shaky: Client) -> None:
    end = b'data: {"id":"c","model":"m","choices":[],"cost":0.00105}\n\ndata: [DONE]\n\n'
    rough.script(AWAY, DROP, Reply(200, b": keep-alive\n\n" + CHUNK + end, STREAM))
    async with inside(shaky.chat.completions.stream(**HELLO)) as stream:
        assert await done(stream.read()) == "Hi"
    assert str(stream.cost) == "0.00105"
    assert len({asked.key for asked in rough.asked}) == 1
    assert len(rough.asked) == 3


@pytest.mark.parametrize("cut", [True, False])
async def test_a_stream_that_has_begun_is_not_asked_for_again(rough: RoughServer, shaky: Client, cut: bool) -> None:
    rough.script(Reply(200, CHUNK, STREAM, cut=cut))
    async with inside(shaky.chat.completions.stream(**HELLO)) as stream:
        with pytest.raises(APIConnectionError):
            await everything(stream)
        assert stream.text == "Hi"
    assert len(rough.asked) == 1


async def test_a_failure_in_the_midst_of_a_stream_is_raised(rough: RoughServer, shaky: Client) -> None:
    rough.script(Reply(200, CHUNK + b"data: " + AWAY.body + b"\n\n", STREAM))
    async with inside(shaky.chat.completions.stream(**HELLO)) as stream:
        with pytest.raises(ServiceUnavailableError) as failed:
            await everything(stream)
    assert failed.value.request_id == META["requestId"]
    assert len(rough.asked) == 1


async def test_silence_is_a_timeout(twin: type[Client]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        async with inside(twin(url, "key", timeout=0.2, retries=RetryPolicy(retries=0))) as client:
            with pytest.raises(APITimeoutError) as failed:
                await done(client.credits.balance())
    assert isinstance(failed.value, TimeoutError)
    assert isinstance(failed.value, ConnectionError)
    assert not failed.value.unsent


async def test_nobody_there_is_a_connection_error(twin: type[Client], rough: RoughServer) -> None:
    async with inside(twin("http://127.0.0.1:1", "key", retries=RetryPolicy(retries=0))) as client:
        with pytest.raises(APIConnectionError, match="Check base_url") as failed:
            await done(client.auth.login("a@b.c", "x"))
    assert failed.value.unsent


@pytest.mark.parametrize(
    "strange",
    [
        Reply(200, b"<html>Hello</html>"),
        Reply(200, b"[]"),
        data({"balance": 1}),
        Reply(307, b"", {"Location": "http://127.0.0.1:1/"}),
    ],
)
async def test_another_kind_of_server_is_told(rough: RoughServer, shaky: Client, strange: Reply) -> None:
    rough.script(strange)
    with pytest.raises(UnexpectedAnswerError, match="base_url"):
        await done(shaky.credits.balance())
    assert len(rough.asked) == 1


@pytest.mark.parametrize(
    "body", [b"", b"nonsense", b"null", b'{"error": "text"}', b'{"error": {"code": null, "details": "none"}}', b"\xff"]
)
async def test_a_failure_in_no_known_form_is_an_error_of_its_status(
    rough: RoughServer, shaky: Client, body: bytes
) -> None:
    rough.script(Reply(404, body, {"X-Request-ID": "abc"}))
    with pytest.raises(APIError) as failed:
        await done(shaky.credits.balance())
    assert (failed.value.status, failed.value.request_id) == (404, "abc")
    assert "404" in str(failed.value)


async def test_fields_of_a_newer_server_break_nothing(rough: RoughServer, shaky: Client) -> None:
    rough.script(data({**BALANCE, "colour": "green", "balance": 1.05}))
    balance = await done(shaky.credits.balance())
    assert str(balance.balance) == "1.05"
    assert balance.model_extra == {"colour": "green"}


async def test_requests_tell_who_asks(rough: RoughServer, shaky: Client) -> None:
    rough.script(data(BALANCE))
    await done(shaky.credits.balance())
    (asked,) = rough.asked
    assert asked.path == "/aihub/api/credits/balance"
    assert asked.headers["authorization"] == "Bearer key"
    assert asked.headers["user-agent"].startswith("smartaihub-python/")
    assert asked.headers["x-client-version"]


@pytest.mark.parametrize("kind", [httpx2.Client, httpx2.AsyncClient])
async def test_an_http_client_of_ones_own_is_used_and_left_open(rough: RoughServer, kind: Any) -> None:
    rough.script(data(BALANCE))
    twin = Cloudyard if kind is httpx2.Client else AsyncCloudyard
    async with inside(kind(headers={"X-Team": "blue"})) as http:
        async with inside(twin(rough.url, "key", http_client=http)) as client:
            await done(client.credits.balance())
        assert not http.is_closed
    assert rough.asked[0].headers["x-team"] == "blue"


async def test_ids_cannot_lead_elsewhere(rough: RoughServer, shaky: Client) -> None:
    rough.script(error(404, "RESOURCE_NOT_FOUND"))
    with pytest.raises(APIError):
        await done(shaky.admin.users.get("../metrics?x=1"))
    assert rough.asked[0].path == "/aihub/api/admin/users/..%2Fmetrics%3Fx%3D1"
    with pytest.raises(ValueError, match="an id is empty"):
        await done(shaky.admin.users.get(""))


@pytest.mark.parametrize("base_url", ["api.smartaihub.com", "ftp://api.smartaihub.com", ""])
def test_a_base_url_without_http_is_refused(twin: type[Client], base_url: str) -> None:
    with pytest.raises(ValueError, match="base_url"):
        twin(base_url)


async def test_an_error_can_go_to_another_process(rough: RoughServer, shaky: Client) -> None:
    rough.script(error(429, "RATE_LIMIT_EXCEEDED", Retry_After="3600"))
    with pytest.raises(RateLimitError) as failed:
        await done(shaky.credits.balance())
    sent = pickle.loads(pickle.dumps(failed.value))
    assert (type(sent), str(sent), sent.retry_after) == (RateLimitError, str(failed.value), 3600)


def test_tokens_are_not_shown() -> None:
    assert "secret" not in repr(Tokens(access_token="secret", refresh_token="secret"))
