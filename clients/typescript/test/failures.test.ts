/** What goes wrong between client and server, with a real server that misbehaves. */
import assert from 'node:assert/strict';
import type { IncomingHttpHeaders } from 'node:http';
import { test } from 'node:test';
import {
  APIConnectionError,
  APIError,
  APITimeoutError,
  type ClientOptions,
  ConflictError,
  RateLimitError,
  ServerError,
  ServiceUnavailableError,
  SmartAIHubClient,
  UnexpectedAnswerError,
} from '@smartaihub/client';
import { all, eventually } from './hub.js';
import { answer, type Handler, refuse, type Serving, serving } from './server.js';

const ASKED = { model: 'm', messages: [{ role: 'user', content: 'Hello!' }] } as const;
const ORDER = { packageId: 'pkg_starter', paymentMethodId: 'pm_card_visa' };

interface Scripted extends Serving {
  seen: { url: string | undefined; headers: IncomingHttpHeaders; body: string }[];
  client: (options?: Partial<ClientOptions>) => SmartAIHubClient;
}

/** A server that answers each request by the next of these handlers, and all later ones by the last. */
async function scripted(...handlers: Handler[]): Promise<Scripted> {
  const seen: Scripted['seen'] = [];
  const server = await serving((request, response) => {
    const handler = handlers[Math.min(seen.length, handlers.length - 1)];
    seen.push({ url: request.url, headers: request.headers, body: request.body });
    return handler?.(request, response);
  });
  const client = (options = {}) => new SmartAIHubClient({ baseURL: server.url, apiKey: 'key', ...options });
  return { ...server, seen, client };
}

const soon: Handler = (_, response) => refuse(response, 503, 'SERVICE_UNAVAILABLE', { 'Retry-After': '0' });
const cut: Handler = (_, response) => void response.destroy();
const silent: Handler = () => undefined;
const good: Handler = (_, response) => answer(response, { id: 'done' });
const keysOf = ({ seen }: Scripted) => seen.map(({ headers }) => headers['idempotency-key']);

test('what may come again comes again, under one key', async () => {
  await using server = await scripted(soon, cut, good);
  assert.equal((await server.client().credits.purchase(ORDER)).id, 'done');
  const keys = keysOf(server);
  assert.equal(keys.length, 3);
  assert.match(`${keys[0]}`, /^[0-9a-f]{32}$/);
  assert.equal(new Set(keys).size, 1);
  assert.equal(new Set(server.seen.map(({ body }) => body)).size, 1);
  await server.client().credits.purchase(ORDER);
  assert.notEqual(keysOf(server)[3], keys[0]);
});

test('only what is keyed carries a key', async () => {
  await using server = await scripted(good);
  await server.client().users.me({ idempotencyKey: 'unused' });
  await server.client().credits.purchase(ORDER, { idempotencyKey: 'mine' });
  assert.deepEqual(keysOf(server), [undefined, 'mine']);
});

test('what may have been done is not done again', async () => {
  for (const failing of [soon, cut]) {
    await using server = await scripted(failing, failing, good);
    const client = server.client();
    await assert.rejects(client.auth.register({ email: 'a@b.example', password: 'longEnough1' }));
    await assert.rejects(client.auth.changePassword({ currentPassword: 'a', newPassword: 'b' }));
    assert.equal(server.seen.length, 2);
  }
});

test('what was refused for its number comes again, whatever it is', async () => {
  const later: Handler = (_, response) =>
    refuse(response, 429, 'RATE_LIMIT_EXCEEDED', { 'Retry-After': '0' });
  await using server = await scripted(later, later, (_, response) =>
    answer(response, { user: { id: 'u' } }, 201),
  );
  assert.equal(
    (await server.client().auth.register({ email: 'a@b.example', password: 'longEnough1' })).id,
    'u',
  );
});

test('nothing is tried more often than allowed, and the last failure is thrown', async () => {
  await using server = await scripted(soon);
  await assert.rejects(server.client({ maxRetries: 1 }).users.me(), ServiceUnavailableError);
  assert.equal(server.seen.length, 2);
  await assert.rejects(server.client().users.me({ maxRetries: 0 }), ServiceUnavailableError);
  assert.equal(server.seen.length, 3);
});

test('a wait that is too long is told of instead, as seconds or as a date', async () => {
  const date = new Date(Date.now() + 3_600_000).toUTCString();
  for (const after of ['3600', date]) {
    await using server = await scripted((_, response) =>
      refuse(response, 429, 'RATE_LIMIT_EXCEEDED', { 'Retry-After': after }),
    );
    await assert.rejects(server.client().users.me(), (error) => {
      assert.ok(error instanceof RateLimitError && error.retryAfter !== undefined);
      return error.retryAfter > 3000 && error.retryAfter <= 3600;
    });
    assert.equal(server.seen.length, 1);
  }
});

test('a wait ends when the caller aborts', async () => {
  const controller = new AbortController();
  await using server = await scripted((_, response) => {
    refuse(response, 429, 'RATE_LIMIT_EXCEEDED', { 'Retry-After': '50' });
    setImmediate(() => controller.abort(new Error('enough')));
  });
  await assert.rejects(server.client().users.me({ signal: controller.signal }), /enough/);
});

test('a repetition that meets its first try waits for it', async () => {
  const running: Handler = (_, response) =>
    refuse(response, 409, 'RESOURCE_CONFLICT', { 'Retry-After': '0' });
  await using server = await scripted(cut, running, good);
  assert.equal((await server.client().credits.purchase(ORDER)).id, 'done');
  await using conflict = await scripted(running, good);
  await assert.rejects(conflict.client().credits.purchase(ORDER), ConflictError);
});

test('silence is a time-out, before the answer and within it', async () => {
  const halting: Handler = (_, response) => void response.writeHead(200).write('{"success":');
  for (const handler of [silent, halting]) {
    await using server = await scripted(handler);
    await assert.rejects(server.client({ timeout: 100, maxRetries: 0 }).users.me(), APITimeoutError);
  }
});

test('nobody at home, and a connection that is cut', async () => {
  await using server = await scripted(cut);
  await assert.rejects(server.client({ maxRetries: 0 }).users.me(), (error) => {
    assert.ok(
      error instanceof APIConnectionError && !(error instanceof APIError) && error.cause instanceof Error,
    );
    return error.message.includes(server.url) && error.status === undefined;
  });
  const nowhere = new SmartAIHubClient({ baseURL: 'http://127.0.0.1:9', apiKey: 'key', maxRetries: 0 });
  await assert.rejects(nowhere.users.me(), APIConnectionError);
});

test('what is no answer of this API is told apart', async () => {
  const page: Handler = (_, response) => void response.end('<html>Welcome</html>');
  const other: Handler = (_, response) => void response.end('{"hello": "world"}');
  const notList: Handler = (_, response) => answer(response, { a: 1 });
  for (const handler of [page, other, notList]) {
    await using server = await scripted(handler);
    await assert.rejects(server.client().credits.history().page(), UnexpectedAnswerError);
    assert.equal(server.seen.length, 1);
  }
});

test('a failure without the envelope keeps its status', async () => {
  const teapot: Handler = (_, response) =>
    void response.writeHead(418, { 'X-Request-ID': 'tea' }).end('short');
  await using server = await scripted(teapot);
  await assert.rejects(server.client().users.me(), { code: 'HTTP_418', status: 418, requestId: 'tea' });
  const broken: Handler = (_, response) => void response.writeHead(500).end('<h1>Oops</h1>');
  await using gone = await scripted(broken);
  await assert.rejects(gone.client({ maxRetries: 0 }).users.me(), (error) => {
    return error instanceof ServerError && error.status === 500 && error.message.includes('Oops');
  });
});

test('a redirect is not followed, so that the key goes nowhere else', async () => {
  await using elsewhere = await scripted(good);
  const redirect: Handler = (_, response) => void response.writeHead(307, { Location: elsewhere.url }).end();
  await using server = await scripted(redirect);
  await assert.rejects(server.client().credits.purchase(ORDER), (error) => {
    return error instanceof UnexpectedAnswerError && error.message.includes(elsewhere.url);
  });
  assert.equal(elsewhere.seen.length, 0);
});

/** A handler that sends a stream in these pieces and then ends it, cuts it or falls silent. */
function streaming(pieces: (string | Uint8Array)[], ending: 'end' | 'cut' | 'silence' = 'end'): Handler {
  return async (_, response) => {
    response.writeHead(200, { 'Content-Type': 'text/event-stream; charset=utf-8' });
    for (const piece of pieces) {
      response.write(piece);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    if (ending !== 'silence') {
      response[ending === 'end' ? 'end' : 'destroy']();
    }
  };
}

const piece = (content: string) =>
  `data: ${JSON.stringify({ id: 'c', model: 'm', choices: [{ index: 0, delta: { content }, finishReason: null }] })}\n\n`;
const ask = (server: Scripted, options: Partial<ClientOptions> = {}) =>
  server.client(options).chat.completions.create({ ...ASKED, stream: true });
const textOf = async (stream: Awaited<ReturnType<typeof ask>>) =>
  (await all(stream)).map(({ choices }) => choices[0]?.delta.content).join('|');

test('a stream is read however it is cut up', async () => {
  const bytes = Buffer.from(
    `: hello\r\n\r\n${piece('Zürich')}event: x\rid: 1\r${piece('snow ☃')}data: [DONE]\n\n`,
  );
  for (const size of [1, 2, 3, 7, 50, 10_000]) {
    const cuts = Array.from({ length: Math.ceil(bytes.length / size) }, (_, at) =>
      bytes.subarray(at * size, (at + 1) * size),
    );
    await using server = await scripted(async (_, response) => {
      response.writeHead(200, { 'Content-Type': 'text/event-stream' });
      for (const one of cuts) {
        await new Promise((resolve) => response.write(one, resolve));
      }
      response.end();
    });
    assert.equal(await textOf(await ask(server)), 'Zürich|snow ☃');
  }
});

test('data of several lines is one event', async () => {
  const [first, second] = piece('one').trimEnd().split(',"model"');
  const pieces = [`${first}\r`, `\ndata:,"model"${second}\r`, '\n\r', '\n', 'data: [DONE]\r\n\r\n'];
  await using server = await scripted(streaming(pieces));
  assert.equal(await textOf(await ask(server)), 'one');
});

test('what comes after the end is not read', async () => {
  await using server = await scripted(streaming([piece('a'), 'data: [DONE]\n\n', piece('b')], 'silence'));
  assert.equal(await textOf(await ask(server)), 'a');
});

test('a stream that breaks off is told, with what came before, and is not begun again', async () => {
  for (const ending of ['end', 'cut'] as const) {
    await using server = await scripted(streaming([piece('a'), piece('b')], ending));
    const stream = await ask(server);
    const read: string[] = [];
    const reading = async () => {
      for await (const { choices } of stream) {
        read.push(`${choices[0]?.delta.content}`);
      }
    };
    await assert.rejects(reading(), APIConnectionError);
    assert.deepEqual(read, ['a', 'b']);
    assert.equal(server.seen.length, 1);
  }
});

test('a stream that falls silent is a time-out, one whose reader takes long is none', async () => {
  await using server = await scripted(streaming([piece('a')], 'silence'));
  await assert.rejects(textOf(await ask(server, { timeout: 100 })), APITimeoutError);
  await using patient = await scripted(streaming([piece('a'), piece('b'), 'data: [DONE]\n\n']));
  const read: unknown[] = [];
  for await (const one of await ask(patient, { timeout: 1000 })) {
    read.push(one);
    await new Promise((resolve) => setTimeout(resolve, 1100));
  }
  assert.equal(read.length, 2);
});

test('a connection serves the next stream too', async () => {
  const known = new Set<unknown>();
  let again = false;
  await using server = await scripted((request, response) => {
    again ||= known.has(request.socket);
    known.add(request.socket);
    return streaming([piece('a'), 'data: [DONE]\n\n'])(request, response);
  });
  await eventually(async () => {
    await textOf(await ask(server));
    return again || undefined;
  });
});

test('a failure within a stream is thrown as what it is', async () => {
  const told = {
    success: false,
    error: { code: 'SERVICE_UNAVAILABLE', message: 'The model died.', details: [] },
  };
  await using server = await scripted(streaming([piece('a'), `data: ${JSON.stringify(told)}\n\n`]));
  await assert.rejects(textOf(await ask(server)), (error) => {
    assert.ok(error instanceof ServiceUnavailableError);
    return error.message === 'The model died.' && error.status === undefined;
  });
});

test('a stream of nonsense, and an answer that is no stream', async () => {
  await using server = await scripted(streaming(['data: {nonsense\n\n']));
  await assert.rejects(textOf(await ask(server)), UnexpectedAnswerError);
  await using whole = await scripted(good);
  await assert.rejects(ask(whole), UnexpectedAnswerError);
});

test('a stream begins again where nothing of it came', async () => {
  await using server = await scripted(soon, cut, streaming([piece('a'), 'data: [DONE]\n\n']));
  assert.equal(await textOf(await ask(server)), 'a');
  assert.equal(new Set(keysOf(server)).size, 1);
  assert.equal(server.seen.length, 3);
});

test('leaving the loop ends the request', async () => {
  let left: (() => void) | undefined;
  const leaving = new Promise<void>((resolve) => {
    left = resolve;
  });
  await using server = await scripted((request, response) => {
    response.on('close', () => left?.());
    return streaming([piece('a')], 'silence')(request, response);
  });
  for await (const _ of await ask(server)) {
    break;
  }
  await leaving;
});

test('tokens are renewed before they expire, once however many ask', async () => {
  let renewed = 0;
  await using server = await serving(({ url, body }, response) => {
    if (url === '/api/auth/login') {
      answer(response, { user: {}, tokens: { accessToken: 'a0', refreshToken: 'r0', expiresIn: 0 } });
    } else if (url === '/api/auth/refresh') {
      assert.deepEqual(JSON.parse(body), { refreshToken: `r${renewed}` });
      renewed += 1;
      answer(response, {
        tokens: { accessToken: `a${renewed}`, refreshToken: `r${renewed}`, expiresIn: 3600 },
      });
    } else {
      answer(response, { id: 'me' });
    }
  });
  const client = new SmartAIHubClient({ baseURL: server.url });
  await client.auth.login({ email: 'a@b.example', password: 'x' });
  await Promise.all([client.users.me(), client.users.me(), client.users.me()]);
  assert.equal(renewed, 1);
  assert.equal(client.auth.tokens?.accessToken, 'a1');
});

test('a feed whose token cannot be renewed for now tries again', async () => {
  let asked = 0;
  await using server = await serving(({ url }, response) => {
    if (url === '/api/auth/login') {
      answer(response, { user: {}, tokens: { accessToken: 'a', refreshToken: 'r', expiresIn: 0 } });
    } else {
      asked += 1;
      response.destroy();
    }
  });
  const client = new SmartAIHubClient({ baseURL: server.url });
  await client.auth.login({ email: 'a@b.example', password: 'x' });
  await assert.rejects(client.live.events({ maxReconnects: 1 }).next(), APIConnectionError);
  assert.ok(asked > 2);
});

test('options that cannot be meant are refused, and no secret is shown', () => {
  const refused = (options: Partial<ClientOptions>) =>
    assert.throws(
      () => new SmartAIHubClient({ baseURL: 'https://api.example', ...options }),
      (error) => {
        return error instanceof TypeError && !error.message.includes('secret');
      },
    );
  refused({ baseURL: 'api.example' });
  refused({ baseURL: 'ftp://api.example' });
  refused({ baseURL: 'https://user:secret@api.example' });
  refused({ baseURL: 'https://api.example/?key=secret' });
  refused({ apiKey: 'secret\n' });
  refused({ apiKey: '' });
  refused({ timeout: 0 });
  refused({ timeout: Number.NaN });
  refused({ maxRetries: -1 });
  refused({ maxRetries: 0.5 });
});
