/**
 * What can go wrong, as one tree:
 *
 *     SmartAIHubError
 *     ├── APIConnectionError         no answer, or one that broke off
 *     │   └── APITimeoutError        nothing came for too long
 *     ├── UnexpectedAnswerError      an answer that is none of this API
 *     ├── WebhookVerificationError   a webhook that was not signed with the secret
 *     └── APIError                   the server said no
 *         ├── ValidationError        400, 413, 415, 422: see `details`
 *         ├── AuthenticationError    401
 *         ├── InsufficientCreditsError   402
 *         ├── PaymentFailedError     402: a card that was declined, or a payment that was cancelled
 *         ├── PermissionDeniedError  403
 *         ├── NotFoundError          404
 *         ├── ConflictError          409
 *         ├── RateLimitError         429: see `retryAfter`
 *         └── ServerError            500 and above
 *             └── ServiceUnavailableError   502, 503, 504
 *
 * A call that the caller's own AbortSignal ended throws the signal's reason, as `fetch` does.
 */

/** What is wrong with one field of a request. */
export interface FieldProblem {
  field: string;
  message: string;
}

/** What is known of a failure besides its message. */
export interface ErrorFacts {
  code: string;
  status?: number | undefined;
  requestId?: string | undefined;
  details?: readonly FieldProblem[] | undefined;
  retryAfter?: number | undefined;
  cause?: unknown;
}

/** Everything that this package throws, but for a caller's mistake in using it (TypeError). */
export class SmartAIHubError extends Error {
  /** Which failure it is: the server's code (`VALIDATION_ERROR`, ...), or one of this package's. */
  readonly code: string;
  /** The HTTP status; undefined where no answer came, or where a stream failed after it had begun. */
  readonly status: number | undefined;
  /** The request's id in the server's log. */
  readonly requestId: string | undefined;
  /** What is wrong with which field. */
  readonly details: readonly FieldProblem[];
  /** After how many seconds the server wants to be asked again. */
  readonly retryAfter: number | undefined;

  constructor(message: string, facts: ErrorFacts) {
    super(message, facts.cause === undefined ? undefined : { cause: facts.cause });
    this.name = new.target.name;
    this.code = facts.code;
    this.status = facts.status;
    this.requestId = facts.requestId;
    this.details = facts.details ?? [];
    this.retryAfter = facts.retryAfter;
  }
}

/** No answer came, or it broke off. Whether the server did what was asked is unknown. */
export class APIConnectionError extends SmartAIHubError {
  constructor(message: string, facts: Partial<ErrorFacts> = {}) {
    super(message, { ...facts, code: facts.code ?? 'CONNECTION_FAILED' });
  }
}

/** Nothing came for as long as `timeout` allows. */
export class APITimeoutError extends APIConnectionError {
  constructor(message: string, facts: Partial<ErrorFacts> = {}) {
    super(message, { ...facts, code: 'TIMEOUT' });
  }
}

/** What came is no answer of this API: a proxy's page, a redirect, another server. */
export class UnexpectedAnswerError extends SmartAIHubError {
  constructor(message: string, facts: Partial<ErrorFacts> = {}) {
    super(message, { ...facts, code: 'UNEXPECTED_ANSWER' });
  }
}

/** A webhook's signature is missing, wrong or too old. Do not believe what it says. */
export class WebhookVerificationError extends SmartAIHubError {
  constructor(message: string) {
    super(message, { code: 'WEBHOOK_NOT_VERIFIED' });
  }
}

/** The server said no. */
export class APIError extends SmartAIHubError {}

/** The request is wrong; `details` says which field and why. */
export class ValidationError extends APIError {}

/** The password, token or API key is wrong or has expired. */
export class AuthenticationError extends APIError {}

/** There are too few credits for the call. */
export class InsufficientCreditsError extends APIError {}

/** The payment was declined, not authenticated or cancelled. Nothing was charged. */
export class PaymentFailedError extends APIError {}

/** The caller is known, and may not do this. */
export class PermissionDeniedError extends APIError {}

/** There is no such thing, or it is not the caller's. */
export class NotFoundError extends APIError {}

/** It is in conflict with what is there. */
export class ConflictError extends APIError {}

/** Too many requests; `retryAfter` says when to come again. */
export class RateLimitError extends APIError {}

/** Something of the server's broke. */
export class ServerError extends APIError {}

/** The server, or what it relies on, cannot do it now. */
export class ServiceUnavailableError extends ServerError {}

type APIErrorClass = new (message: string, facts: ErrorFacts) => APIError;

const CLASS_OF_STATUS: Readonly<Record<number, APIErrorClass>> = {
  400: ValidationError,
  401: AuthenticationError,
  402: InsufficientCreditsError,
  403: PermissionDeniedError,
  404: NotFoundError,
  409: ConflictError,
  413: ValidationError,
  415: ValidationError,
  422: ValidationError,
  429: RateLimitError,
  502: ServiceUnavailableError,
  503: ServiceUnavailableError,
  504: ServiceUnavailableError,
};

const CLASS_OF_CODE: Readonly<Record<string, APIErrorClass>> = {
  VALIDATION_ERROR: ValidationError,
  AUTHENTICATION_FAILED: AuthenticationError,
  INSUFFICIENT_CREDITS: InsufficientCreditsError,
  PAYMENT_FAILED: PaymentFailedError,
  AUTHORIZATION_FAILED: PermissionDeniedError,
  RESOURCE_NOT_FOUND: NotFoundError,
  RESOURCE_CONFLICT: ConflictError,
  RATE_LIMIT_EXCEEDED: RateLimitError,
  INTERNAL_ERROR: ServerError,
  SERVICE_UNAVAILABLE: ServiceUnavailableError,
};

/** The error that a failure of the server's is thrown as: by its code, or by its status where that is none of ours. */
export function apiError(message: string, facts: ErrorFacts): APIError {
  const known = CLASS_OF_CODE[facts.code] ?? CLASS_OF_STATUS[facts.status ?? 0];
  const fallback = facts.status !== undefined && facts.status >= 500 ? ServerError : APIError;
  return new (known ?? fallback)(message, facts);
}
