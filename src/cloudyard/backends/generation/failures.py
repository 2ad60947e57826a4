"""What the failures of OpenAI-compatible servers mean: try another one, or tell the caller what was wrong."""

from http import HTTPStatus

import aiohttp
import msgspec
from msgspec import Struct

from cloudyard.domains.inference import ContextTooLong, ProviderRefused, ProviderUnavailable
from cloudyard.foundation.errors import DomainError

WORTH_ANOTHER_TRY = frozenset({401, 403, 404, 408, 409, 425, 429})
DEFAULT_RETRY_SECONDS = 1.0
TOO_LONG = frozenset({"context_length_exceeded", "exceed_context_size_error"})
"""How OpenAI and vLLM (by code) and llama.cpp (by type) say that a prompt does not fit."""
INPUT_TOO_LONG = "is too large to process"
"""llama.cpp refuses an embedding input beyond its batch with a 500 that says so."""
LONGEST_MESSAGE = 500
NO_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def unreachable(error: Exception, timeout: float) -> ProviderUnavailable:
    """What to raise where no answer came; `timeout` is the patience there was, in seconds."""
    if isinstance(error, TimeoutError):
        return ProviderUnavailable(f"The provider was silent for {timeout:g} s.", retry_after=1)
    reason = str(error) or type(error).__name__
    return ProviderUnavailable(f"The provider cannot be reached: {reason}.", retry_after=1)


def failure_of(response: aiohttp.ClientResponse, body: bytes) -> DomainError:
    """What to raise for an answer that is a failure: whether it was the request's fault, and what was told."""
    told = _told(body)
    message = told.message[:LONGEST_MESSAGE] or response.reason or "no reason given"
    details = {"status": response.status}
    if INPUT_TOO_LONG in message or not TOO_LONG.isdisjoint((told.code, told.type)):
        return ContextTooLong(f"The input does not fit into the model's context. {told.lengths or message}")
    if response.status >= HTTPStatus.INTERNAL_SERVER_ERROR or response.status in WORTH_ANOTHER_TRY:
        return ProviderUnavailable(
            f"The provider failed with {response.status}: {message}",
            details=details,
            retry_after=_retry_after(response.headers.get("Retry-After")),
        )
    return ProviderRefused(f"The model refused the request: {message}", details=details)


def _retry_after(value: str | None) -> float:
    return float(value) if value and value.isdigit() else DEFAULT_RETRY_SECONDS


class _Told(Struct):
    """What a provider says of a failure. OpenAI's code is a text, llama.cpp's is the status."""

    message: str = ""
    code: str | int | None = None
    type: str | None = None
    n_prompt_tokens: int | None = None
    n_ctx: int | None = None

    @property
    def lengths(self) -> str:
        """How long the prompt is and may be, where that was told."""
        if self.n_prompt_tokens is None or self.n_ctx is None:
            return ""
        return f"It has {self.n_prompt_tokens} tokens, and there is room for {self.n_ctx}."


class _Refusal(Struct):
    error: _Told


def _told(body: bytes) -> _Told:
    try:
        told = msgspec.json.decode(body, type=_Refusal).error
    except NO_JSON:
        return _Told(_text_of(body))
    return told if told.message else _Told(_text_of(body), told.code, told.type)


def _text_of(body: bytes) -> str:
    """The message of an answer in some other form: an object, a text, or no JSON at all."""
    try:
        answer = msgspec.json.decode(body)
    except NO_JSON:
        return body.decode("utf-8", "replace")
    error = answer.get("error", answer) if isinstance(answer, dict) else answer
    return str(error.get("message", error) if isinstance(error, dict) else error)
