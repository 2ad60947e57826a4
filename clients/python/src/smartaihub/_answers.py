"""From the server's answer to a value or an error."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

import httpx2
import pydantic

from smartaihub._errors import (
    APIConnectionError,
    APIError,
    APITimeoutError,
    FieldProblem,
    UnexpectedAnswerError,
    error_class,
)
from smartaihub._requests import A, Request
from smartaihub.types.chat import ChatChunk

SHOWN = 200
UNSENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)


def value_of(request: Request[A], response: httpx2.Response) -> A:
    """What the answer says. Raises `UnexpectedAnswerError`."""
    try:
        return request.answer.model_validate_json(response.content)
    except pydantic.ValidationError as error:
        raise UnexpectedAnswerError(
            f"{request.method} {response.url} was answered {response.status_code} with something other than "
            f"{request.answer.__name__}: {_first_problem(error)}. Does base_url lead to a Smart AI Hub API?"
        ) from error


def chunk_of(data: str, response: httpx2.Response) -> ChatChunk:
    """One event of a streamed completion. Raises the error that the event tells of, or `UnexpectedAnswerError`."""
    failure = _envelope(data)
    if failure is not None:
        raise _error(failure, response.status_code, response.headers)
    try:
        return ChatChunk.model_validate_json(data)
    except pydantic.ValidationError as error:
        raise UnexpectedAnswerError(f"The stream holds an event of another form: {_first_problem(error)}.") from error


def error_of(response: httpx2.Response) -> APIError | UnexpectedAnswerError:
    """The error that an answer tells of, which must have been read."""
    status = response.status_code
    if status < HTTPStatus.BAD_REQUEST:
        return UnexpectedAnswerError(
            f"{response.url} was answered {status} {response.headers.get('location', '')}".rstrip()
            + ". Does base_url lead to a Smart AI Hub API?"
        )
    return failure_of(status, response.text, response.headers)


def failure_of(status: int, text: str, headers: Mapping[str, str]) -> APIError:
    """The error behind a status, also where something before the server answered in a form of its own."""
    failure = _envelope(text)
    if failure is not None:
        return _error(failure, status, headers)
    shown = " ".join(text.split())[:SHOWN] or f"answered {status}"
    return error_class(status, None)(
        shown, status=status, request_id=headers.get("x-request-id"), retry_after=retry_after_of(headers)
    )


@contextmanager
def translated() -> Iterator[None]:
    """Raises the HTTP library's failures as this library's."""
    try:
        yield
    except httpx2.TimeoutException as error:
        raise APITimeoutError(
            f"The server did not answer in time ({_said(error)}). Try again, or give the client more time.",
            unsent=isinstance(error, UNSENT),
        ) from error
    except httpx2.RequestError as error:
        raise APIConnectionError(
            f"There is no answer from {error.request.url}: {_said(error)}. Check base_url and the network.",
            unsent=isinstance(error, UNSENT),
        ) from error


def retry_after_of(headers: Mapping[str, str]) -> float | None:
    """Seconds that Retry-After asks for: a number, or a date (RFC 9110, 10.2.3)."""
    value = headers.get("retry-after")
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        until = parsedate_to_datetime(value)
    except ValueError:
        return None
    until = until if until.tzinfo is not None else until.replace(tzinfo=UTC)
    return max(0.0, (until - datetime.now(UTC)).total_seconds())


def _envelope(text: str) -> Mapping[str, Any] | None:
    """The document's error envelope (Error Response), None if the text is none."""
    try:
        body = json.loads(text)
    except ValueError:
        return None
    return body if isinstance(body, dict) and isinstance(body.get("error"), dict) else None


def _error(envelope: Mapping[str, Any], status: int, headers: Mapping[str, str]) -> APIError:
    told, meta = envelope["error"], envelope.get("meta")
    code = told.get("code")
    details = told.get("details")
    return error_class(status, code)(
        str(told.get("message", code)),
        status=status,
        code=code,
        details=[
            FieldProblem(str(each.get("field", "")), str(each.get("message", "")))
            for each in (details if isinstance(details, list) else [])
            if isinstance(each, dict)
        ],
        request_id=headers.get("x-request-id") or (meta.get("requestId") if isinstance(meta, dict) else None),
        retry_after=retry_after_of(headers),
        replayed="idempotency-replayed" in headers,
    )


def _first_problem(error: pydantic.ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    return f"{'.'.join(str(part) for part in first['loc']) or 'the body'}: {first['msg']}"


def _said(error: Exception) -> str:
    return str(error) or type(error).__name__
