"""What the failures of OpenAI-compatible servers mean: try another one, or tell the caller what was wrong."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus

import msgspec

from cloudyard.backends.provider_http import Answer
from cloudyard.backends.retry_after import asked_pause
from cloudyard.domains.inference import ContextTooLong, ProviderRefused, ProviderUnavailable
from cloudyard.foundation.errors import DomainError

REQUEST_AT_FAULT = frozenset({400, 413, 415, 422})
"""With these a provider says what is wrong with the request. All else is the business of whoever runs this: it may tell
of keys, hosts and accounts."""
NOT_LET_IN = frozenset({401, 402, 403})
PASSING = frozenset({408, 409, 425, 429, *range(500, 600)} - {501, 505})
"""What may be over in a moment. All else stays as it is until somebody mends it."""
REDIRECTS = range(HTTPStatus.MULTIPLE_CHOICES, HTTPStatus.BAD_REQUEST)
DEFAULT_RETRY_SECONDS = 1.0
LONGEST_RETRY_SECONDS = 3600.0
LONGEST_MESSAGE = 500
NO_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

TOO_LONG_CODES = ("context_length_exceeded", "exceed_context_size_error")
"""OpenAI's code and llama.cpp's type for a prompt that does not fit."""
TOO_LONG_WORDS = ("maximum context length", "context length is only", "tokens) is too large to process")
"""How vLLM, which has no code for it, tells of such a prompt, and llama.cpp of such an input of an embedding."""
TOO_LONG_STATUSES = (HTTPStatus.BAD_REQUEST, HTTPStatus.INTERNAL_SERVER_ERROR)
"""llama.cpp's words come with a 500."""
NOT_LET_IN_CODES = (
    "invalid_api_key",
    "authentication_error",
    "permission_error",
    "insufficient_quota",
    "billing_error",
    "billing_not_active",
)
"""Codes and types with which some providers tell of a key or an account by a status that says something else."""
BAD_SCHEMA = re.compile(r"JSON schema (?:error at|conversion failed:)\s+(?P<reason>.+?)\.?$", re.DOTALL)
"""How llama.cpp tells of a schema that it cannot hold an answer to."""


def unreachable(error: Exception, timeout: float) -> ProviderUnavailable:
    """What to raise where no answer came; `timeout` is the patience there was, in seconds."""
    if isinstance(error, TimeoutError):
        return ProviderUnavailable(f"The provider was silent for {timeout:g} s.", retry_after=1)
    reason = str(error) or type(error).__name__
    return ProviderUnavailable(
        "The provider cannot be reached. Try again shortly.", retry_after=1, for_operators=reason
    )


def failure_of(answer: Answer, body: bytes, *, asked: bytes, now: datetime) -> DomainError:
    """What to raise for an answer that is a failure: whether it was the request's fault, and what was told."""
    account = _account_in(body)
    message = account.message[:LONGEST_MESSAGE] or answer.reason or "no reason given"
    details = {"status": answer.status}
    if answer.status in TOO_LONG_STATUSES and account.is_of_length:
        return ContextTooLong(
            f"The input does not fit into the model's context: {account.lengths or _first_sentence(message)}. "
            "Shorten it, or choose a model with a longer context."
        )
    let_in = answer.status not in NOT_LET_IN and not account.is_of_access
    if answer.status in REQUEST_AT_FAULT and let_in:
        return _refused(message, details, asked)
    if answer.status in REDIRECTS:
        return ProviderUnavailable(
            "The provider sends callers elsewhere, and keys are not sent after it. Tell your administrator.",
            details=details,
            for_operators=f"to {answer.header('location')}; give it a base URL that answers by itself",
        )
    pause = asked_pause(answer.header("retry-after"), now)
    return _failed(message, details, answer.status, pause, let_in=let_in)


def _refused(message: str, details: Mapping[str, object], asked: bytes) -> ProviderRefused:
    schema = BAD_SCHEMA.search(message)
    if schema is None or not _has_one_schema(asked):
        return ProviderRefused(f"The model refused the request: {message}", details=details)
    return ProviderRefused(
        f"The model cannot answer by this JSON schema: {schema['reason']}. Correct the schema.",
        details=details,
        field="response_format",
    )


def _has_one_schema(asked: bytes) -> bool:
    """Whether the answer's form is the only schema of a request; those of tools are refused in the same words."""
    request = msgspec.json.decode(asked)
    return "response_format" in request and "tools" not in request


def _failed(
    message: str, details: Mapping[str, object], status: int, pause: float | None, *, let_in: bool
) -> ProviderUnavailable:
    passes = let_in and status in PASSING
    if pause is None and passes:
        pause = DEFAULT_RETRY_SECONDS
    happened = f"failed with {status}" if let_in else f"refuses this service with {status}"
    return ProviderUnavailable(
        f"The provider {happened}. {'Try again shortly' if passes else 'Tell your administrator'}.",
        details=details,
        retry_after=None if pause is None else min(pause, LONGEST_RETRY_SECONDS),
        for_operators=message,
    )


def _first_sentence(message: str) -> str:
    """What is the matter. What follows is often advice to whoever runs the model, which a caller cannot take."""
    return message.partition(". ")[0].rstrip(".")


@dataclass(frozen=True, slots=True)
class _Account:
    """What a provider tells of a failure. `codes` are all that it gives it: OpenAI's code, llama.cpp's type."""

    message: str
    codes: tuple[object, ...] = ()
    prompt_tokens: object = None
    context_tokens: object = None

    @property
    def is_of_length(self) -> bool:
        """Whether the input was too long."""
        return any(code in TOO_LONG_CODES for code in self.codes) or any(w in self.message for w in TOO_LONG_WORDS)

    @property
    def is_of_access(self) -> bool:
        """Whether it was the key or the account that the provider did not like."""
        return any(code in NOT_LET_IN_CODES for code in self.codes)

    @property
    def lengths(self) -> str:
        """How long the prompt is and may be, where that was told."""
        if not isinstance(self.prompt_tokens, int) or not isinstance(self.context_tokens, int):
            return ""
        return f"it has {self.prompt_tokens} tokens, and there is room for {self.context_tokens}"


def _account_in(body: bytes) -> _Account:
    """Whatever can be understood of an answer: OpenAI's form, an older one without `error`, a text, no JSON at all."""
    try:
        answer = msgspec.json.decode(body)
    except NO_JSON:
        return _Account(body.decode("utf-8", "replace"))
    error = answer.get("error", answer) if isinstance(answer, dict) else answer
    if not isinstance(error, dict):
        return _Account(str(error))
    message = error.get("message")
    return _Account(
        message if isinstance(message, str) else str(error),
        (error.get("code"), error.get("type")),
        error.get("n_prompt_tokens"),
        error.get("n_ctx"),
    )
