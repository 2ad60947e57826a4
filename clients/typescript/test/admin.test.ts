import assert from 'node:assert/strict';
import { test } from 'node:test';
import { APIError, ConflictError, NotFoundError } from '@smartaihub/client';
import { admin, all, join } from './hub.js';

test('users are listed, found and read', async () => {
  const root = await admin();
  const { id, email } = await join();
  const found = await all(
    root.admin.users.list({ search: email, role: 'user', status: 'active', sort: 'email' }),
  );
  assert.deepEqual(
    found.map((user) => [user.id, user.email]),
    [[id, email]],
  );
  const details = await root.admin.users.get(id);
  assert.deepEqual([details.email, details.heldCredits, details.username], [email, 0, null]);
  await assert.rejects(root.admin.users.get('../metrics'), NotFoundError);
  await assert.rejects(async () => root.admin.users.get('..'), TypeError);
  await assert.rejects(async () => root.admin.users.get(''), TypeError);
});

test('credits are adjusted, once for one key', async () => {
  const root = await admin();
  const { client, id } = await join();
  const { balance } = await client.credits.balance();
  const given = { amount: 500, reason: 'Promotional credit', type: 'bonus' } as const;
  const first = await root.admin.users.adjustCredits(id, given, { idempotencyKey: `promotion-${id}` });
  const second = await root.admin.users.adjustCredits(id, given, { idempotencyKey: `promotion-${id}` });
  assert.equal(first.transactionId, second.transactionId);
  assert.equal((await client.credits.balance()).balance, balance + 500);
  await assert.rejects(
    root.admin.users.adjustCredits(id, { amount: -1e6, reason: 'Too much' }),
    ConflictError,
  );
});

test('a user who is suspended is out at once', async () => {
  const root = await admin();
  const { client, id } = await join();
  await client.users.me();
  assert.equal((await root.admin.users.update(id, { status: 'suspended' })).status, 'suspended');
  await assert.rejects(
    client.users.me(),
    (error) => error instanceof APIError && /^40[13]$/.test(`${error.status}`),
  );
});

test('a purchase is given back in part, once for one key', async () => {
  const root = await admin();
  const { client, id } = await join();
  const { balance } = await client.credits.balance();
  await client.credits.purchase({ packageId: 'pkg_starter', paymentMethodId: 'pm_card_visa' });
  const [payment] = await all(root.admin.payments.list({ userId: id, status: 'completed' }));
  assert.ok(payment);
  const key = { idempotencyKey: `refund-${payment.id}` };
  const refund = await root.admin.payments.refund(payment.id, { usd: 2.5, reason: 'Too many' }, key);
  assert.deepEqual([refund.usd, refund.credits, refund.uncoveredCredits], [2.5, 250, 0]);
  assert.equal(
    (await root.admin.payments.refund(payment.id, { usd: 2.5, reason: 'Too many' }, key)).id,
    refund.id,
  );
  const details = await root.admin.payments.get(payment.id);
  assert.deepEqual([details.refunded, details.refunds.map((each) => each.id)], [2.5, [refund.id]]);
  assert.equal((await client.credits.balance()).balance, balance + 750);
});

test('the installation is shown in numbers', async () => {
  const root = await admin();
  await join();
  const { users, credits, api } = await root.admin.metrics();
  assert.ok(users.total >= 2 && users.newThisMonth >= 1);
  assert.ok(credits.totalPurchased >= 0 && api.requestsToday > 0 && api.averageResponseTime > 0);
});
