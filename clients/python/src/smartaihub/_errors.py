"""Everything that the client raises.

SmartAIHubError
├── APIError                     the server refused or failed: status, code, details, request_id
│   ├── ValidationError          400, 422: `fields` says what is wrong where
│   ├── AuthenticationError      401
│   ├── InsufficientCreditsError 402: too few credits
│   ├── PaymentFailedError       402: a card that was declined, or a payment that was cancelled
│   ├── PermissionDeniedError    403
│   ├── NotFoundError            404
│   ├── ConflictError            409
│   ├── RateLimitError           429: `retry_after` seconds
│   └── ServerError              5xx
│       └── ServiceUnavailableError  502, 503, 504
├── APIConnectionError           no answer, or one that was cut; also a builtin ConnectionError
│   └── APITimeoutError          no answer in time; also a builtin TimeoutError
├── UnexpectedAnswerError        an answer that is not of this API
└── WebhookVerificationError     a webhook that must not be believed
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from types import MappingProxyType


class SmartAIHubError(Exception):
    """Whatever went wrong."""


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """What is wrong with one field of a request, by the API's name of it."""

    field: str
    message: str


class APIError(SmartAIHubError):
    """The server refused the request, or failed at it.

    `code` is the document's (Error Codes), None where something before the server answered. `request_id` is what to
    quote in a report. `retry_after` is in seconds. `replayed` says that the answer is that of an earlier request with
    the same idempotency key.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        code: str | None = None,
        details: Sequence[FieldProblem] = (),
        request_id: str | None = None,
        retry_after: float | None = None,
        replayed: bool = False,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.code = code
        self.details = tuple(details)
        self.request_id = request_id
        self.retry_after = retry_after
        self.replayed = replayed

    def __reduce__(self) -> tuple[Callable[..., "APIError"], tuple[object, ...], dict[str, object]]:
        """So that it can be pickled, and reach another process."""
        return partial(type(self), status=self.status), self.args, self.__dict__

    @property
    def fields(self) -> dict[str, str]:
        """What is wrong with which field."""
        return {problem.field: problem.message for problem in self.details}

    def __str__(self) -> str:
        about = [str(self.status)]
        if self.code is not None:
            about.append(self.code)
        if self.request_id is not None:
            about.append(f"request {self.request_id}")
        problems = "; ".join(f"{field}: {message}" for field, message in self.fields.items() if message != self.message)
        return f"{self.message}{f' ({problems})' if problems else ''} [{', '.join(about)}]"


class ValidationError(APIError):
    """The request cannot be accepted as it is; `fields` says what is wrong where."""


class AuthenticationError(APIError):
    """The credential is missing, wrong, or no longer good."""


class InsufficientCreditsError(APIError):
    """There are too few credits for the call."""


class PaymentFailedError(APIError):
    """The payment was declined, not authenticated or cancelled. Nothing was charged."""


class PermissionDeniedError(APIError):
    """The caller may not do this."""


class NotFoundError(APIError):
    """There is no such thing, or it belongs to somebody else."""


class ConflictError(APIError):
    """The request goes against the present state."""


class RateLimitError(APIError):
    """Too many requests; `retry_after` says how many seconds to wait."""


class ServerError(APIError):
    """The server failed."""


class ServiceUnavailableError(ServerError):
    """A part of the server cannot be used now, or was never set up; the message says which."""


class APIConnectionError(SmartAIHubError, ConnectionError):
    """There was no answer, or it was cut. `unsent` says that the request certainly never reached the server."""

    def __init__(self, message: str, *, unsent: bool = False) -> None:
        super().__init__(message)
        self.unsent = unsent


class APITimeoutError(APIConnectionError, TimeoutError):
    """There was no answer in time."""


class UnexpectedAnswerError(SmartAIHubError):
    """The answer is not one of this API: something else answers at this address, or its version does not fit."""


class WebhookVerificationError(SmartAIHubError):
    """The webhook is not signed with the secret, is too old, or cannot be read. Answer 400 and do nothing else."""


_BY_CODE: Mapping[str, type[APIError]] = MappingProxyType(
    {
        "VALIDATION_ERROR": ValidationError,
        "AUTHENTICATION_FAILED": AuthenticationError,
        "INSUFFICIENT_CREDITS": InsufficientCreditsError,
        "PAYMENT_FAILED": PaymentFailedError,
        "AUTHORIZATION_FAILED": PermissionDeniedError,
        "RESOURCE_NOT_FOUND": NotFoundError,
        "RESOURCE_CONFLICT": ConflictError,
        "RATE_LIMIT_EXCEEDED": RateLimitError,
        "INTERNAL_ERROR": ServerError,
        "SERVICE_UNAVAILABLE": ServiceUnavailableError,
    }
)

_BY_STATUS: Mapping[int, type[APIError]] = MappingProxyType(
    {
        400: ValidationError,
        401: AuthenticationError,
        402: InsufficientCreditsError,
        403: PermissionDeniedError,
        404: NotFoundError,
        409: ConflictError,
        422: ValidationError,
        429: RateLimitError,
        502: ServiceUnavailableError,
        503: ServiceUnavailableError,
        504: ServiceUnavailableError,
    }
)


def error_class(status: int, code: str | None) -> type[APIError]:
    """The class of a failure: by the document's code, else by the status."""
    by_code = _BY_CODE.get(code) if code is not None else None
    if by_code is not None:
        return by_code
    fallback = ServerError if status >= HTTPStatus.INTERNAL_SERVER_ERROR else APIError
    return _BY_STATUS.get(status, fallback)
