"""What a provider's failure becomes: the request's fault or not, and what its caller is told."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from cloudyard.backends.generation.openai_compatible import OpenAICompatible
from cloudyard.domains.inference import ContextTooLong, Endpoint, ProviderRefused, ProviderUnavailable
from cloudyard.foundation.errors import DomainError

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
OPENAI_TOO_LONG = {
    "error": {"message": "This model's maximum is 8 tokens.", "type": "invalid", "code": "context_length_exceeded"}
}
EMBEDDING_TOO_LONG = {"error": {"code": 500, "message": "input (600 tokens) is too large to process", "type": "server"}}
CASES: dict[str, Case] = {
    "llama.cpp, too long": (400, LLAMA_TOO_LONG, ContextTooLong, "It has 20031 tokens, and there is room for 2048."),
    "OpenAI, too long": (400, OPENAI_TOO_LONG, ContextTooLong, "This model's maximum is 8 tokens."),
    "llama.cpp, embedding too long": (500, EMBEDDING_TOO_LONG, ContextTooLong, r"input \(600 tokens\) is too large"),
    "refused": (400, {"error": {"message": "No.", "code": None}}, ProviderRefused, "refused the request: No."),
    "refused in a text": (400, {"error": "No."}, ProviderRefused, "refused the request: No."),
    "refused in another form": (422, {"message": "No."}, ProviderRefused, "refused the request: No."),
    "refused in lists": (400, {"error": ["a", "b"]}, ProviderRefused, r"\['a', 'b'\]"),
    "refused without a word": (400, b"", ProviderRefused, "refused the request: Reason"),
    "refused in no JSON": (400, b"<p>No", ProviderRefused, "<p>No"),
    "refused in bytes": (400, b'{"error":{"message":"\xff"}}', ProviderRefused, "�"),
    "refused at length": (400, {"error": {"message": "x" * 9000}}, ProviderRefused, r"request: x{500}$"),
    "failed": (500, {"error": {"message": "Ouch."}}, ProviderUnavailable, "failed with 500: Ouch."),
    "wants another try": (429, {"error": {"message": "Later."}}, ProviderUnavailable, "failed with 429: Later."),
}


@asynccontextmanager
async def answering(status: int, body: bytes) -> AsyncIterator[Endpoint]:
    """A server that gives this answer, once."""
    answered = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"{}")
        writer.write(b"HTTP/1.1 %d Reason\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % (status, len(body)))
        writer.write(body)
        writer.close()
        await writer.wait_closed()
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
