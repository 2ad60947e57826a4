import { type APIError, apiError, type FieldProblem, UnexpectedAnswerError } from '../errors.js';
import type { Page, Pagination } from '../types/index.js';
import { retryAfterOf } from './retries.js';

const SHOWN = 200;

/** The body of a successful answer, and what its headers say. */
export interface Answer {
  readonly body: unknown;
  readonly status: number;
  readonly requestId: string | undefined;
}

/** The `data` of an answer in its envelope. The server's word is taken for its shape. */
export function dataOf<T>(answer: Answer): T {
  const body = answer.body;
  if (!isObject(body) || body.success !== true || body.data === undefined) {
    throw unexpected('The answer has no `data`.', answer);
  }
  return body.data as T;
}

/** A page and where it lies in its list. */
export function pageOf<T>(answer: Answer): Page<T> {
  const data = dataOf<T[]>(answer);
  const pagination = (answer.body as { pagination?: Pagination }).pagination;
  if (!Array.isArray(data) || typeof pagination?.hasNext !== 'boolean') {
    throw unexpected('The answer is no page of a list.', answer);
  }
  return { data, pagination };
}

/** The answer of a response. Throws what the server says went wrong. */
export async function answerOf(response: Response): Promise<Answer> {
  if (response.type === 'opaqueredirect' || (response.status >= 300 && response.status < 400)) {
    throw redirected(response);
  }
  const text = await response.text();
  const requestId = requestIdOf(response);
  const answer = { body: parsed(text), status: response.status, requestId };
  if (!response.ok) {
    throw failure(answer, retryAfterOf(response.headers), text);
  }
  if (answer.body === undefined) {
    throw unexpected(`The answer is no JSON: ${shown(text)}`, answer);
  }
  return answer;
}

/** The error that an error envelope tells of; undefined where it is none. */
export function toldError(
  body: unknown,
  status?: number,
  requestId?: string,
  retryAfter?: number,
): APIError | undefined {
  if (!isObject(body) || !isObject(body.error)) {
    return undefined;
  }
  const { code, message, details } = body.error;
  const meta = isObject(body.meta) ? body.meta : {};
  return apiError(typeof message === 'string' ? message : 'The server gave no reason.', {
    code: typeof code === 'string' ? code : 'UNKNOWN',
    status,
    requestId: requestId ?? (typeof meta.requestId === 'string' ? meta.requestId : undefined),
    details: Array.isArray(details) ? (details as FieldProblem[]) : [],
    retryAfter,
  });
}

/** The request's id, as the server's log has it. */
export function requestIdOf(response: Response): string | undefined {
  return response.headers.get('x-request-id') ?? undefined;
}

/** The value of a JSON text, undefined for one that is none. */
export function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function failure(answer: Answer, retryAfter: number | undefined, text: string): APIError {
  const { body, status, requestId } = answer;
  return (
    toldError(body, status, requestId, retryAfter) ??
    apiError(`The server answered ${status} and gave no reason: ${shown(text)}`, {
      code: `HTTP_${status}`,
      status,
      requestId,
      retryAfter,
    })
  );
}

function redirected(response: Response): UnexpectedAnswerError {
  const to = response.headers.get('location');
  const where = to === null ? '' : ` to ${to}`;
  return new UnexpectedAnswerError(
    `The server redirects${where}. Redirects are not followed, as they would take the key along: correct baseURL.`,
    { status: response.status, requestId: requestIdOf(response) },
  );
}

function unexpected(message: string, { status, requestId }: Answer): UnexpectedAnswerError {
  return new UnexpectedAnswerError(`${message} Does baseURL lead to the Smart AI Hub API?`, {
    status,
    requestId,
  });
}

function shown(text: string): string {
  return text === '' ? 'nothing' : JSON.stringify(text.slice(0, SHOWN));
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
