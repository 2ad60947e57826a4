import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  APIConnectionError,
  APIError,
  AuthenticationError,
  type LiveEvent,
  PermissionDeniedError,
  type WebSocketConstructor,
  type WebSocketLike,
} from '@smartaihub/client';
import { eventually, join, PASSWORD, type Person, stranger, told } from './hub.js';

/** A reader of the feed whom the signal ends, as far as it has read. */
function follow({ client }: Person, lastEventId?: number): { seen: LiveEvent[]; stop: () => Promise<void> } {
  const seen: LiveEvent[] = [];
  const controller = new AbortController();
  const reading = (async () => {
    for await (const event of client.live.events({ lastEventId, signal: controller.signal })) {
      seen.push(event);
    }
  })();
  const stop = async () => {
    controller.abort();
    await assert.rejects(reading, { name: 'AbortError' });
  };
  return { seen, stop };
}

async function welcomed(): Promise<Person> {
  const person = await join();
  const { seen, stop } = follow(person, 0);
  await eventually(async () => seen[0]);
  assert.equal(seen[0]?.event, 'notification.created');
  await stop();
  return person;
}

async function rename({ client }: Person, ...names: string[]): Promise<void> {
  for (const firstName of names) {
    await client.users.updateMe({ firstName });
  }
}

const namesOf = (events: LiveEvent[]) => events.map(({ data }) => data.firstName);
const arrived = (events: LiveEvent[], count: number) =>
  eventually(async () => (events.length >= count ? events : undefined));

test('what happens is told as it happens, and from where it was left', async () => {
  const person = await welcomed();
  const first = follow(person, 1);
  await rename(person, 'One', 'Two');
  await arrived(first.seen, 2);
  await first.stop();
  await rename(person, 'Three');
  const second = follow(person, first.seen[0]?.id);
  await arrived(second.seen, 2);
  await rename(person, 'Four');
  await arrived(second.seen, 3);
  await second.stop();
  assert.deepEqual([...namesOf(first.seen), ...namesOf(second.seen)], ['One', 'Two', 'Two', 'Three', 'Four']);
  assert.deepEqual(
    second.seen.map(({ id, event }) => [id, event]),
    [3, 4, 5].map((id) => [id, 'user.updated']),
  );
});

test('a connection that is lost is made anew, and nothing is missed', async () => {
  const person = await welcomed();
  const opened: WebSocketLike[] = [];
  class Recorded extends WebSocket {
    constructor(url: string) {
      super(url);
      opened.push(this);
    }
  }
  const client = stranger({ tokens: person.client.auth.tokens, WebSocket: Recorded });
  const { seen, stop } = follow({ ...person, client }, 1);
  await rename(person, 'One');
  await arrived(seen, 1);
  opened[0]?.close();
  await rename(person, 'Two');
  await arrived(seen, 2);
  await stop();
  assert.equal(opened.length, 2);
  assert.deepEqual(namesOf(seen), ['One', 'Two']);
});

test('a token that was refused is renewed, and a session that ended ends the feed', async () => {
  const person = await welcomed();
  const { tokens } = person.client.auth;
  assert.ok(tokens);
  const client = stranger({ tokens: { ...tokens, accessToken: 'expired' } });
  const feed = client.live.events({ lastEventId: 0 });
  assert.equal((await feed.next()).value?.id, 1);
  const next = feed.next();
  await client.auth.logout();
  await person.client.auth.login({ email: person.email, password: PASSWORD });
  await rename(person, 'Somebody');
  await assert.rejects(next, AuthenticationError);
});

test('a stranger is refused at once, and a server that is not there after some tries', async () => {
  await assert.rejects(stranger({ apiKey: 'nonsense' }).live.events().next(), AuthenticationError);
  const nowhere = stranger({ apiKey: 'key', baseURL: 'http://127.0.0.1:9' });
  await assert.rejects(nowhere.live.events({ maxReconnects: 1 }).next(), APIConnectionError);
});

test('a key that may not hear is told so', async () => {
  const client = stranger({ apiKey: told('HUB_CHAT_KEY') });
  await assert.rejects(client.live.events().next(), PermissionDeniedError);
});

test('more connections than the server wants are refused, for a reason that is told', async () => {
  const { client } = await welcomed();
  const feeds: AsyncGenerator<LiveEvent>[] = [];
  const openMore = async () => {
    while (feeds.length < 90) {
      const feed = client.live.events({ lastEventId: 0 });
      await feed.next();
      feeds.push(feed);
    }
  };
  await assert.rejects(openMore(), (error) => {
    assert.ok(error instanceof APIError && error.code === 'LIVE_REFUSED');
    return /connections/.test(error.message);
  });
  await Promise.all(feeds.map((feed) => feed.return(undefined)));
});

test('where there is no WebSocket, what to do is said', async () => {
  const given = globalThis.WebSocket;
  Object.assign(globalThis, { WebSocket: undefined });
  try {
    await assert.rejects(stranger({ apiKey: 'key' }).live.events().next(), /Node.js 22/);
  } finally {
    Object.assign(globalThis, { WebSocket: given satisfies WebSocketConstructor });
  }
});
