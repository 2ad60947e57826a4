import { WebhookVerificationError } from '../errors.js';
import { parsed } from '../http/answers.js';
import type { WebhookEvent } from '../types/index.js';

/** The body of a request, exactly as it came. */
export type RawBody = string | Uint8Array;

/** Headers of a request: those of `fetch`, or an object as Node.js gives it. */
export type RawHeaders = Headers | Readonly<Record<string, string | readonly string[] | undefined>>;

/** What a webhook is verified against. */
export interface VerifyOptions {
  /** How many seconds the sender's clock and the way may make up: 300 unless told. */
  tolerance?: number | undefined;
}

const TOLERANCE = 300;
const PREFIX = 'whsec_';

/**
 * Whether a body was signed with the secret, by the header `X-Webhook-Signature` (`sha256=<hex>`). It holds for ever:
 * use `readWebhook`, which also refuses what is old.
 */
export async function verifyWebhook(payload: RawBody, signature: string, secret: string): Promise<boolean> {
  const [, hex] = /^sha256=([0-9a-f]{64})$/i.exec(signature) ?? [];
  if (hex === undefined) {
    return false;
  }
  const digest = Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
  return isSigned(bytesOf(secret), digest, bytesOf(payload));
}

/**
 * The event that a webhook tells of, verified by the headers of Standard Webhooks 1.0.0: signed with the secret, and
 * not old. Give it the body exactly as it came, not parsed and written again. The same event may come more than once:
 * keep the `eventId`s you have seen. Throws WebhookVerificationError.
 */
export async function readWebhook<Data = Record<string, unknown>>(
  body: RawBody,
  headers: RawHeaders,
  secret: string,
  { tolerance = TOLERANCE }: VerifyOptions = {},
): Promise<WebhookEvent<Data>> {
  const id = headerOf(headers, 'webhook-id');
  const timestamp = headerOf(headers, 'webhook-timestamp');
  const signatures = headerOf(headers, 'webhook-signature').split(' ');
  checkAge(timestamp, tolerance);
  const signed = join(bytesOf(`${id}.${timestamp}.`), bytesOf(body));
  const checks = signatures.map((signature) => isStandard(signature, signed, secret));
  if (!(await Promise.all(checks)).includes(true)) {
    throw new WebhookVerificationError('The webhook was not signed with this secret, or changed on its way.');
  }
  const event = parsed(textOf(body));
  if (typeof event !== 'object' || event === null) {
    throw new WebhookVerificationError('The webhook is signed, but its body is no event.');
  }
  return event as WebhookEvent<Data>;
}

function isStandard(signature: string, signed: Uint8Array<ArrayBuffer>, secret: string): Promise<boolean> {
  const digest = signature.startsWith('v1,') ? fromBase64(signature.slice(3)) : undefined;
  return digest === undefined ? Promise.resolve(false) : isSigned(standardKey(secret), digest, signed);
}

/** The bytes behind `whsec_`; a secret of another form is taken as it is written. */
function standardKey(secret: string): Uint8Array<ArrayBuffer> {
  const decoded = secret.startsWith(PREFIX) ? fromBase64(secret.slice(PREFIX.length)) : undefined;
  return decoded === undefined || decoded.length === 0 ? bytesOf(secret) : decoded;
}

function checkAge(timestamp: string, tolerance: number): void {
  const age = Date.now() / 1000 - (/^\d+$/.test(timestamp) ? Number(timestamp) : Number.NaN);
  if (!(Math.abs(age) <= tolerance)) {
    throw new WebhookVerificationError(
      `The webhook is of ${timestamp || 'no time'}, more than ${tolerance} seconds from now: it may be a replay.`,
    );
  }
}

function headerOf(headers: RawHeaders, name: string): string {
  const value = isHeaders(headers) ? headers.get(name) : anyCase(headers, name);
  if (typeof value !== 'string') {
    throw new WebhookVerificationError(`The webhook has no header ${name}.`);
  }
  return value;
}

/** Not by `instanceof`: there are other implementations than the global one. */
function isHeaders(headers: RawHeaders): headers is Headers {
  return typeof headers.get === 'function';
}

function anyCase(headers: Exclude<RawHeaders, Headers>, name: string): unknown {
  return headers[name] ?? Object.entries(headers).find(([given]) => given.toLowerCase() === name)?.[1];
}

/** `verify` compares in constant time. */
async function isSigned(
  key: Uint8Array<ArrayBuffer>,
  digest: Uint8Array<ArrayBuffer>,
  signed: Uint8Array<ArrayBuffer>,
): Promise<boolean> {
  if (key.length === 0) {
    throw new TypeError('The secret of a webhook is not empty.');
  }
  const algorithm = { name: 'HMAC', hash: 'SHA-256' };
  const imported = await crypto.subtle.importKey('raw', key, algorithm, false, ['verify']);
  return crypto.subtle.verify('HMAC', imported, digest, signed);
}

function fromBase64(text: string): Uint8Array<ArrayBuffer> | undefined {
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(text) || text.length % 4 !== 0) {
    return undefined;
  }
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

function bytesOf(value: RawBody): Uint8Array<ArrayBuffer> {
  return typeof value === 'string' ? new TextEncoder().encode(value) : new Uint8Array(value);
}

function textOf(value: RawBody): string {
  return typeof value === 'string' ? value : new TextDecoder().decode(value);
}

function join(first: Uint8Array, second: Uint8Array): Uint8Array<ArrayBuffer> {
  const joined = new Uint8Array(first.length + second.length);
  joined.set(first);
  joined.set(second, first.length);
  return joined;
}
