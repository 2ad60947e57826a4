import assert from 'node:assert/strict';
import { createECDH, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { NotFoundError } from '@smartaihub/client';
import { all, eventually, join } from './hub.js';

test('the welcome is read, one by one and all at once', async () => {
  const { client } = await join();
  const welcome = await eventually(async () => (await client.notifications.list().page()).data[0]);
  assert.deepEqual([welcome.read, welcome.category], [false, 'account']);
  assert.equal((await client.notifications.read(welcome.id)).read, true);
  assert.deepEqual(await all(client.notifications.list({ unread: true })), []);
  assert.equal((await all(client.notifications.list({ unread: false }))).length, 1);
  assert.deepEqual(await client.notifications.readAll(), { markedAsRead: 0 });
  await assert.rejects(client.notifications.read('none'), NotFoundError);
});

test('settings change where they are told to', async () => {
  const { client } = await join();
  const before = await client.notifications.settings();
  const after = await client.notifications.updateSettings({
    pushNotifications: false,
    categories: { billing: { push: false } },
  });
  assert.equal(after.pushNotifications, false);
  assert.equal(after.categories.billing.push, false);
  assert.deepEqual(after.categories.account, before.categories.account);
  assert.deepEqual(await client.notifications.settings(), after);
});

test('a browser is registered for push, listed and removed', async () => {
  const { client } = await join();
  const { push } = client.notifications;
  assert.equal(Buffer.from((await push.key()).publicKey, 'base64url').length, 65);
  const keys = createECDH('prime256v1');
  const subscription = {
    endpoint: 'http://127.0.0.1:9/push',
    keys: { p256dh: keys.generateKeys('base64url'), auth: randomBytes(16).toString('base64url') },
  };
  const registered = await push.register(subscription);
  assert.equal(registered.endpoint, subscription.endpoint);
  const asGiven = { toJSON: () => ({ ...subscription, expirationTime: null }) };
  assert.equal((await push.register(asGiven)).id, registered.id);
  assert.deepEqual(await push.list(), [registered]);
  await push.remove(registered.id);
  assert.deepEqual(await push.list(), []);
});
