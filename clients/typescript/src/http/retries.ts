import { APIConnectionError, APIError, type SmartAIHubError } from '../errors.js';
import { isRepeatable, type Operation } from './operation.js';

const FIRST_WAIT = 500;
const LONGEST_WAIT = 8_000;

/**
 * How many milliseconds to wait before the operation is sent again; undefined where it must not be.
 * `again` counts the tries that were made after the first.
 *
 * 429 was not done, so anything may come again. Whatever else failed may have been done, so only what is repeatable
 * comes again. 409 to a repetition may mean that the first try still runs under the same key.
 */
export function waitBefore(error: SmartAIHubError, operation: Operation, again: number): number | undefined {
  if (!mayComeAgain(error, operation, again)) {
    return undefined;
  }
  return error.retryAfter === undefined ? backoff(again) : error.retryAfter * 1000;
}

/** Exponential, half of it at random, so that clients who failed together do not come back together. */
export function backoff(again: number): number {
  const wait = Math.min(FIRST_WAIT * 2 ** again, LONGEST_WAIT);
  return wait / 2 + (Math.random() * wait) / 2;
}

/** Seconds from `Retry-After`, which holds seconds or a date (RFC 9110, section 10.2.3). */
export function retryAfterOf(headers: Headers): number | undefined {
  const value = headers.get('retry-after')?.trim();
  if (!value) {
    return undefined;
  }
  if (/^\d+$/.test(value)) {
    return Number(value);
  }
  const seconds = (Date.parse(value) - Date.now()) / 1000;
  return Number.isNaN(seconds) ? undefined : Math.max(0, seconds);
}

function mayComeAgain(error: SmartAIHubError, operation: Operation, again: number): boolean {
  if (error.status === 429) {
    return true;
  }
  if (!isRepeatable(operation)) {
    return false;
  }
  if (error instanceof APIConnectionError) {
    return true;
  }
  const status = error instanceof APIError ? (error.status ?? 0) : 0;
  return status === 408 || status >= 500 || (status === 409 && operation.keyed === true && again > 0);
}
