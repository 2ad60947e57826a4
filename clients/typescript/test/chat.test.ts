import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  APITimeoutError,
  type ChatCompletionChunk,
  InsufficientCreditsError,
  NotFoundError,
} from '@smartaihub/client';
import { admin, all, eventually, join, MODEL, type Person, stranger, told } from './hub.js';

const HELLO = [{ role: 'user', content: 'Hello!' }] as const;
const STORY = {
  model: MODEL,
  messages: [{ role: 'user', content: 'Write a very long story.' }],
  maxTokens: 900,
} as const;

test('models have prices', async () => {
  const { client } = await join();
  const models = await client.models.list();
  const model = models.find(({ id }) => id === 'gpt-4');
  assert.equal(model?.name, MODEL);
  assert.ok(model.pricing.inputTokens > 0 && model.pricing.outputTokens > 0);
});

test('a model answers as the document shows, with an API key', async () => {
  const client = stranger({ apiKey: told('HUB_API_KEY') });
  const response = await client.chat.completions.create({ model: 'gpt-4', messages: HELLO, maxTokens: 16 });
  const [choice] = response.choices;
  assert.equal(choice?.message.role, 'assistant');
  assert.ok(choice.message.content.length > 0);
  assert.equal(response.usage.totalTokens, response.usage.promptTokens + response.usage.completionTokens);
  assert.ok(response.cost > 0);
});

test('the same key is charged once', async () => {
  const { client } = await join();
  const ask = () =>
    client.chat.completions.create({ model: MODEL, messages: HELLO, maxTokens: 8 }, { idempotencyKey: 'k' });
  const first = await ask();
  const { balance } = await client.credits.balance();
  assert.deepEqual(await ask(), first);
  assert.equal((await client.credits.balance()).balance, balance);
});

test('a stream comes in pieces and ends with usage and cost', async () => {
  const { client } = await join();
  const stream = await client.chat.completions.create({
    model: MODEL,
    messages: HELLO,
    maxTokens: 24,
    stream: true,
  });
  assert.ok(stream.requestId);
  const pieces = await all(stream);
  assert.ok(pieces.length > 2);
  assert.ok(textOf(pieces).length > 0);
  const last = pieces.at(-1);
  assert.deepEqual(last?.choices, []);
  assert.ok(last.usage !== undefined && last.usage.completionTokens > 0);
  assert.ok(last.cost !== undefined && last.cost > 0);
  await assert.rejects(all(stream), TypeError);
});

test('leaving the loop stops the model, and only what it said is charged', async () => {
  const person = await join();
  const { balance } = await person.client.credits.balance();
  let most = 0;
  for await (const piece of await person.client.chat.completions.create({ ...STORY, stream: true })) {
    if (piece.choices[0]?.delta.content) {
      most = await setAside(person);
      break;
    }
  }
  const paid = await charged(person, balance);
  assert.ok(paid > 0 && paid < most / 2, `${paid} of ${most}`);
});

test('an aborted call throws the reason of its signal, whole or streamed', async () => {
  const person = await join();
  const { balance } = await person.client.credits.balance();
  const reason = new Error('changed my mind');
  const controller = new AbortController();
  const stream = await person.client.chat.completions.create(
    { ...STORY, stream: true },
    { signal: controller.signal },
  );
  const most = await setAside(person);
  const reading = (async () => {
    for await (const _ of stream) {
      controller.abort(reason);
    }
  })();
  await assert.rejects(reading, (error) => error === reason);
  assert.ok((await charged(person, balance)) < most / 2);

  const whole = new AbortController();
  const asking = person.client.chat.completions.create(STORY, { signal: whole.signal });
  await setAside(person);
  whole.abort(reason);
  await assert.rejects(asking, (error) => error === reason);
  await assert.rejects(
    person.client.chat.completions.create(STORY, { signal: AbortSignal.abort(reason) }),
    (error) => error === reason,
  );
});

test('a stream that is closed unread lets go of what was set aside', async () => {
  const person = await join();
  const { balance } = await person.client.credits.balance();
  const stream = await person.client.chat.completions.create({ ...STORY, stream: true });
  const most = await setAside(person);
  stream.close();
  assert.deepEqual(await all(stream), []);
  assert.ok((await charged(person, balance)) < most / 2);
});

test('what the model takes too long for is a time-out', async () => {
  const { client } = await join();
  await assert.rejects(
    client.chat.completions.create(STORY, { timeout: 50, maxRetries: 0 }),
    APITimeoutError,
  );
});

test('a model that is not there, and a wallet that is empty', async () => {
  const { client, id } = await join();
  for (const stream of [true, false]) {
    await assert.rejects(
      client.chat.completions.create({ model: 'none', messages: HELLO, stream }),
      NotFoundError,
    );
  }
  await (await admin()).admin.users.update(id, { credits: 0, reason: 'A test' });
  for (const stream of [true, false]) {
    await assert.rejects(client.chat.completions.create({ ...STORY, stream }), InsufficientCreditsError);
  }
});

/** What a call that runs now has set aside: the most that it can cost. */
async function setAside({ client }: Person): Promise<number> {
  return eventually(async () => (await client.credits.balance()).held || undefined);
}

/** What was charged since, once nothing is set aside any more. */
async function charged({ client }: Person, before: number): Promise<number> {
  return eventually(async () => {
    const { balance, held } = await client.credits.balance();
    return held === 0 ? before - balance : undefined;
  });
}

function textOf(pieces: ChatCompletionChunk[]): string {
  return pieces.map(({ choices }) => choices[0]?.delta.content ?? '').join('');
}
