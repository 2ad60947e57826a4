"""What a provider's failure becomes: the request's fault or not, and what its caller is told."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from email.utils import format_datetime

import pytest

from cloudyard.backends.generation.openai_compatible import OpenAICompatible
from cloudyard.domains.inference import ContextTooLong, Endpoint, ProviderRefused, ProviderUnavailable
from cloudyard.foundation.errors import DomainError
from cloudyard.testing.clock import ManualClock

Case = tuple[int, object, type[DomainError], str]

LLAMA_TOO_LONG = {
    "error": {
        "code": 400,
        "message": "request (20031 tokens) exceeds the available context size (2048 tokens), try increasing it",
        "type": "exceed_context_size_error",
        "n_prompt_tokens": 20031,
        "n_ctx": 2048,
    }
}
EMBEDDING_TOO_LONG = {
    "error": {
        "code": 500,
        "message": "input (600 tokens) is too large to process. increase the physical batch size "
        "(current batch size: 256)",
        "type": "server_error",
    }
}
OPENAI_TOO_LONG = {
    "error": {
        "message": "This model's maximum context length is 8192 tokens. However, you asked for 9000.",
        "type": "invalid_request_error",
        "param": "messages",
        "code": "context_length_exceeded",
    }
}
VLLM_TOO_LONG = {
    "error": {
        "message": "You passed 1015 tokens, but the model's context length is only 1024 tokens. Please reduce it.",
        "type": "BadRequestError",
        "param": "input_tokens",
        "code": 400,
    }
}
OLD_VLLM_TOO_LONG = {
    "object": "error",
    "message": "This model's maximum context length is 1024 tokens. However, you requested 1200 tokens.",
    "type": "BadRequestError",
    "code": 400,
}
ADVICE = r"\. Shorten it, or choose a model with a longer context\.$"
CASES: dict[str, Case] = {
    "llama.cpp, too long": (400, LLAMA_TOO_LONG, ContextTooLong, "it has 20031 tokens, .* room for 2048" + ADVICE),
    "llama.cpp, embedding": (
        500,
        EMBEDDING_TOO_LONG,
        ContextTooLong,
        r"\(600 tokens\) is too large to process" + ADVICE,
    ),
    "OpenAI, too long": (400, OPENAI_TOO_LONG, ContextTooLong, "maximum context length is 8192 tokens" + ADVICE),
    "vLLM, too long": (400, VLLM_TOO_LONG, ContextTooLong, "context length is only 1024 tokens" + ADVICE),
    "old vLLM, too long": (400, OLD_VLLM_TOO_LONG, ContextTooLong, "maximum context length is 1024 tokens" + ADVICE),
    "too long, without a word": (400, {"error": {"code": "context_length_exceeded"}}, ContextTooLong, ADVICE),
    "too long, and odd": (
        400,
        {"error": {**LLAMA_TOO_LONG["error"], "n_ctx": "?"}},
        ContextTooLong,
        "20031.*" + ADVICE,
    ),
    "an image too large": (422, {"error": "It (9 tokens) is too large to process"}, ProviderRefused, "too large"),
    "refused": (400, {"error": {"message": "No.", "code": None}}, ProviderRefused, "refused the request: No."),
    "refused in a text": (400, {"error": "No."}, ProviderRefused, "refused the request: No."),
    "refused in another form": (422, {"message": "No."}, ProviderRefused, "refused the request: No."),
    "refused in lists": (400, {"error": ["a", "b"]}, ProviderRefused, r"\['a', 'b'\]"),
    "refused without a word": (400, b"", ProviderRefused, "refused the request: Reason"),
    "refused in no JSON": (400, b"<p>No", ProviderRefused, "<p>No"),
    "refused in bytes": (400, b'{"error":{"message":"\xff"}}', ProviderRefused, "�"),
    "refused at length": (400, {"error": {"message": "x" * 9000}}, ProviderRefused, r"request: x{500}$"),
    "failed": (500, {"error": {"message": "Ouch."}}, ProviderUnavailable, r"failed with 500\..*Ouch\."),
    "sends elsewhere": (307, b"", ProviderUnavailable, r"elsewhere.*to https://else\.example/v1;"),
    "wants another try": (429, {"error": {"message": "Later."}}, ProviderUnavailable, r"failed with 429\..*Later\."),
}
SECRET = "sk-ours of db-7.internal"


@asynccontextmanager
async def answering(status: int, body: bytes, retry_after: str = "") -> AsyncIterator[Endpoint]:
    """A server that gives this answer, once."""
    answered = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            asked = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(asked.lower().partition(b"content-length:")[2].split()[0]))
            head = (
                f"HTTP/1.1 {status} Reason\r\nContent-Length: {len(body)}\r\n"
                f"Location: https://else.example/v1\r\nRetry-After: {retry_after}\r\n\r\n"
            )
            writer.write(head.encode() + body)
            writer.close()
            await writer.wait_closed()
        finally:
            answered.set()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield Endpoint(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1")
        await answered.wait()


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_a_failure_says_whose_fault_it_was(provider: OpenAICompatible, case: Case, streamed: bool) -> None:
    status, told, kind, message = case
    body = told if isinstance(told, bytes) else json.dumps(told).encode()
    async with answering(status, body) as endpoint:
        with pytest.raises(kind, match=message) as caught:
            if streamed:
                async with provider.stream(endpoint, "/chat/completions", b"{}", 10):
                    pass
            else:
                await provider.call(endpoint, "/chat/completions", b"{}", 10)
    assert type(caught.value) is kind


@pytest.mark.parametrize("status", [307, 401, 402, 403, 404, 405, 408, 409, 410, 429, 451, 500, 502, 503])
async def test_what_is_no_fault_of_the_request_is_told_to_operators_alone(
    provider: OpenAICompatible, status: int
) -> None:
    async with answering(status, json.dumps({"error": {"message": SECRET}}).encode()) as endpoint:
        with pytest.raises(ProviderUnavailable) as caught:
            await provider.call(endpoint, "/chat/completions", b"{}", 10)
    told = caught.value
    assert SECRET not in told.message and "else.example" not in told.message
    assert (SECRET if status != 307 else "else.example") in str(told)
    assert (str(status) in told.message) is (status != 307)


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 504, 529])
async def test_what_passes_may_be_tried_again_shortly(provider: OpenAICompatible, status: int) -> None:
    failure = await failure_with(provider, status, {"message": "No."})
    assert failure.message == f"The provider failed with {status}. Try again shortly."
    assert failure.retry_after == 1


@pytest.mark.parametrize("status", [404, 405, 410, 418, 451, 501, 505, 600])
async def test_what_stays_as_it_is_goes_to_the_administrator(provider: OpenAICompatible, status: int) -> None:
    failure = await failure_with(provider, status, {"message": "No."})
    assert failure.message == f"The provider failed with {status}. Tell your administrator."
    assert failure.retry_after is None
    asked_to_wait = await failure_with(provider, status, {"message": "No."}, retry_after="17")
    assert asked_to_wait.retry_after == 17


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (401, {}),
        (402, {}),
        (403, {}),
        (400, {"code": "invalid_api_key", "type": "invalid_request_error"}),
        (400, {"type": "authentication_error"}),
        (422, {"type": "permission_error", "code": {"odd": []}}),
        (429, {"code": "insufficient_quota"}),
        (400, {"type": "billing_error"}),
        (500, {"code": "billing_not_active"}),
    ],
)
async def test_a_key_or_an_account_is_no_callers_business(
    provider: OpenAICompatible, status: int, told: dict[str, object]
) -> None:
    failure = await failure_with(provider, status, {"message": SECRET, **told})
    assert failure.message == f"The provider refuses this service with {status}. Tell your administrator."
    assert failure.for_operators == SECRET
    assert failure.retry_after is None


async def failure_with(
    provider: OpenAICompatible, status: int, told: dict[str, object], retry_after: str = ""
) -> ProviderUnavailable:
    """The error of a request that a provider fails to answer."""
    async with answering(status, json.dumps({"error": told}).encode(), retry_after) as endpoint:
        with pytest.raises(ProviderUnavailable) as caught:
            await provider.call(endpoint, "/chat/completions", b"{}", 10)
    return caught.value


@pytest.mark.parametrize("status", [400, 413, 415, 422])
async def test_what_is_wrong_with_the_request_is_told_to_its_caller(provider: OpenAICompatible, status: int) -> None:
    async with answering(status, b'{"error": {"message": "Name a tool."}}') as endpoint:
        with pytest.raises(ProviderRefused) as caught:
            await provider.call(endpoint, "/chat/completions", b"{}", 10)
    assert caught.value.message == "The model refused the request: Name a tool."


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ("17", 17),
        ("0", 0),
        ("99999999999999999999", 3600),
        ("9" * 400, 3600),
        ("in 5 minutes", 300),
        ("in 5 years", 3600),
        ("5 minutes ago", 0),
        ("soon", 1),
        ("-5", 1),
        ("1.5", 1),
        ("Wed, 21 Oct 99999999999999 07:28:00 GMT", 1),
        ("", 1),
    ],
)
async def test_the_pause_that_a_provider_asks_for(
    provider: OpenAICompatible, clock: ManualClock, given: str, seconds: float
) -> None:
    clock.advance(1 - clock.now().microsecond / 1_000_000)  # a date has no fractions of a second
    away = {"in 5 minutes": 300, "in 5 years": 5 * 365 * 86_400, "5 minutes ago": -300}.get(given)
    if away is not None:
        given = format_datetime(clock.now() + timedelta(seconds=away), usegmt=True)
    async with answering(429, b"{}", given) as endpoint:
        with pytest.raises(ProviderUnavailable) as caught:
            await provider.call(endpoint, "/chat/completions", b"{}", 10)
    assert caught.value.retry_after == seconds


async def test_where_a_provider_is_that_cannot_be_reached_is_told_to_operators_alone(
    provider: OpenAICompatible,
) -> None:
    with pytest.raises(ProviderUnavailable, match=r"127\.0\.0\.1") as caught:
        await provider.call(Endpoint("http://127.0.0.1:1/v1"), "/chat/completions", b"{}", 10)
    assert "127.0.0.1" not in caught.value.message


UNTELLABLE = "Unable to generate parser for this template. Automatic parser generation failed: "
FORMAT = {"response_format": {"type": "json_schema"}}


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ("JSON schema error at #: unrecognized type wibble", "#: unrecognized type wibble"),
        ("JSON schema conversion failed:\nInvalid pattern x: unterminated", "Invalid pattern x: unterminated"),
    ],
)
async def test_a_schema_that_is_refused_is_named(provider: OpenAICompatible, told: str, reason: str) -> None:
    error = await refusal_of(provider, UNTELLABLE + told, FORMAT)
    assert error.field == "response_format"
    assert error.message == f"The model cannot answer by this JSON schema: {reason}. Correct the schema."


@pytest.mark.parametrize("asked", [{}, {"tools": []}, {**FORMAT, "tools": []}], ids=["none", "tools", "both"])
async def test_a_schema_that_may_be_a_tools_is_not(provider: OpenAICompatible, asked: dict[str, object]) -> None:
    error = await refusal_of(provider, UNTELLABLE + "JSON schema error at #: unrecognized type wibble", asked)
    assert error.field is None
    assert error.message.startswith("The model refused the request: Unable")


async def refusal_of(provider: OpenAICompatible, told: str, asked: dict[str, object]) -> ProviderRefused:
    """The error of a request that a provider refuses in these words."""
    async with answering(400, json.dumps({"error": {"message": told}}).encode()) as endpoint:
        with pytest.raises(ProviderRefused) as caught:
            await provider.call(endpoint, "/chat/completions", json.dumps(asked).encode(), 10)
    return caught.value
