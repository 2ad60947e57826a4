/** Client of the Smart AI Hub API, for Node.js and the browser. */
export { SmartAIHubClient } from './client.js';
export {
  APIConnectionError,
  APIError,
  APITimeoutError,
  AuthenticationError,
  ConflictError,
  type FieldProblem,
  InsufficientCreditsError,
  NotFoundError,
  PaymentFailedError,
  PermissionDeniedError,
  RateLimitError,
  ServerError,
  ServiceUnavailableError,
  SmartAIHubError,
  UnexpectedAnswerError,
  ValidationError,
  WebhookVerificationError,
} from './errors.js';
export type { EventStream } from './http/stream.js';
export type { LiveOptions } from './live/live.js';
export { OPERATIONS } from './operations.js';
export type { ClientOptions, RequestOptions, WebSocketConstructor, WebSocketLike } from './options.js';
export type { Pages } from './pages.js';
export type { ChatStream } from './resources/chat.js';
export type * from './types/index.js';
export { VERSION } from './version.js';
export {
  type RawBody,
  type RawHeaders,
  readWebhook,
  type VerifyOptions,
  verifyWebhook,
} from './webhooks/verification.js';
