import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { test } from 'node:test';
import {
  ConflictError,
  NotFoundError,
  readWebhook,
  verifyWebhook,
  WebhookVerificationError,
} from '@smartaihub/client';
import { admin, all, eventually, join } from './hub.js';
import { serving } from './server.js';

const SECRET = 'your-webhook-secret';

interface Posted {
  headers: IncomingHttpHeaders;
  body: string;
}

test('what the server sends is verified, by both schemes', async () => {
  const root = await admin();
  const posted: Posted[] = [];
  await using receiver = await serving(async ({ headers, body }, response) => {
    posted.push({ headers, body });
    response.end();
  });
  const webhook = await root.webhooks.create({
    url: `${receiver.url}/hook`,
    events: ['user.created'],
    secret: SECRET,
  });
  try {
    assert.equal(webhook.secret, SECRET);
    const { id, email } = await join();
    const mine = await eventually(async () => posted.find(({ body }) => body.includes(id)));
    const event = await readWebhook<{ userId: string; email: string }>(mine.body, mine.headers, SECRET);
    assert.deepEqual([event.eventType, event.data.userId, event.data.email], ['user.created', id, email]);
    assert.equal(event.eventId, mine.headers['webhook-id']);
    assert.equal(await verifyWebhook(mine.body, `${mine.headers['x-webhook-signature']}`, SECRET), true);
    assert.equal(
      await verifyWebhook(Buffer.from(mine.body), `${mine.headers['x-webhook-signature']}`, SECRET),
      true,
    );
    assert.equal(
      await verifyWebhook(`${mine.body} `, `${mine.headers['x-webhook-signature']}`, SECRET),
      false,
    );
    await assert.rejects(readWebhook(`${mine.body} `, mine.headers, SECRET), WebhookVerificationError);
    await assert.rejects(readWebhook(mine.body, mine.headers, 'another'), WebhookVerificationError);

    const { secret } = await root.webhooks.rotateSecret(webhook.id);
    assert.match(secret, /^whsec_/);
    const { eventId } = await root.webhooks.test(webhook.id);
    const tested = await eventually(async () =>
      posted.find(({ headers }) => headers['webhook-id'] === eventId),
    );
    for (const good of [secret, SECRET]) {
      assert.equal((await readWebhook(tested.body, tested.headers, good)).eventType, 'webhook.test');
    }
  } finally {
    await root.webhooks.delete(webhook.id);
  }
  await assert.rejects(root.webhooks.get(webhook.id), NotFoundError);
});

test('a webhook is kept, changed and listed, with the log of its deliveries', async () => {
  const root = await admin();
  let status = 500;
  await using receiver = await serving(async (_, response) => {
    response.writeHead(status).end('noted');
  });
  const webhook = await root.webhooks.create({ url: receiver.url, events: ['user.updated'] });
  try {
    assert.match(webhook.secret, /^whsec_/);
    const changed = await root.webhooks.update(webhook.id, {
      events: ['payment.failed', 'payment.completed'],
    });
    assert.deepEqual([...changed.events].sort(), ['payment.completed', 'payment.failed']);
    assert.deepEqual((await root.webhooks.get(webhook.id)).events, changed.events);
    assert.ok((await all(root.webhooks.list({ limit: 1 }))).some(({ id }) => id === webhook.id));

    const log = root.webhooks;
    const { id } = await root.webhooks.test(webhook.id);
    const tried = await eventually(async () => {
      const delivery = await log.delivery(webhook.id, id);
      return delivery.log.length > 0 ? delivery : undefined;
    });
    assert.deepEqual(
      [tried.status, tried.log[0]?.statusCode, tried.log[0]?.response],
      ['pending', 500, 'noted'],
    );
    await assert.rejects(log.replay(webhook.id, id), ConflictError);

    status = 200;
    const good = await root.webhooks.test(webhook.id);
    await eventually(async () =>
      (await log.delivery(webhook.id, good.id)).status === 'delivered' ? true : undefined,
    );
    const since = new Date(Date.now() - 3_600_000);
    const delivered = await all(
      log.deliveries(webhook.id, { status: 'delivered', event: 'webhook.test', since }),
    );
    assert.ok(delivered.some((delivery) => delivery.id === good.id));
    assert.equal((await log.replay(webhook.id, good.id)).eventId, good.eventId);
    assert.deepEqual(await all(log.deliveries(webhook.id, { until: since })), []);
  } finally {
    await root.webhooks.delete(webhook.id);
  }
});

/** Headers as a sender of Standard Webhooks makes them. */
function signed(
  body: string,
  secret: string,
  at: number,
  key: Buffer | string = secret,
): Record<string, string> {
  const digest = createHmac('sha256', key).update(`evt_1.${at}.${body}`).digest('base64');
  return {
    'Webhook-Id': 'evt_1',
    'Webhook-Timestamp': `${at}`,
    'Webhook-Signature': `v1a,AAAA v1,${digest}`,
  };
}

const BODY = '{"eventId":"evt_1","eventType":"user.created","timestamp":"2026-11-22T10:00:00Z","data":{}}';
const now = () => Math.floor(Date.now() / 1000);

test('a secret in the form of Standard Webhooks is decoded, one of another form is taken as it is', async () => {
  const key = Buffer.from('0123456789abcdef0123456789abcdef');
  const secret = `whsec_${key.toString('base64')}`;
  assert.equal((await readWebhook(BODY, signed(BODY, secret, now(), key), secret)).eventId, 'evt_1');
  assert.equal((await readWebhook(BODY, new Headers(signed(BODY, SECRET, now())), SECRET)).eventId, 'evt_1');
  assert.equal(
    (await readWebhook(BODY, signed(BODY, 'whsec_no base64', now()), 'whsec_no base64')).eventId,
    'evt_1',
  );
});

test('what is old, unsigned, half signed or mis-spelled is refused', async () => {
  const refused = (headers: Record<string, string>, tolerance?: number) =>
    assert.rejects(readWebhook(BODY, headers, SECRET, { tolerance }), WebhookVerificationError);
  await refused(signed(BODY, SECRET, now() - 301));
  await refused(signed(BODY, SECRET, now() + 302));
  await refused(signed(BODY, SECRET, now() - 61), 60);
  await refused({});
  const good = signed(BODY, SECRET, now());
  await refused({ ...good, 'Webhook-Timestamp': 'yesterday' });
  await refused({ ...good, 'Webhook-Timestamp': `${now() + 1}` });
  await refused({ ...good, 'Webhook-Id': 'evt_2' });
  for (const signature of [
    '',
    'v1,',
    'v1,%%%%',
    'v2,AAAA',
    `${good['Webhook-Signature']}`.replace('v1,', 'v0,'),
  ]) {
    await refused({ ...good, 'Webhook-Signature': signature });
  }
  for (const signature of [
    '',
    'sha256=',
    'sha256=zz',
    `sha1=${'0'.repeat(64)}`,
    `sha256=${'0'.repeat(64)}`,
  ]) {
    assert.equal(await verifyWebhook(BODY, signature, SECRET), false);
  }
  const digest = createHmac('sha256', SECRET).update(BODY).digest('hex');
  assert.equal(await verifyWebhook(BODY, `sha256=${digest}`, SECRET), true);
  assert.equal(await verifyWebhook(BODY, `sha256=${digest}00`, SECRET), false);
  await assert.rejects(verifyWebhook(BODY, `sha256=${digest}`, ''), TypeError);
});
