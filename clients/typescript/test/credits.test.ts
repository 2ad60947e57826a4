import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AuthenticationError, NotFoundError, PaymentFailedError, ValidationError } from '@smartaihub/client';
import { admin, all, join, stranger, told } from './hub.js';

const STARTER = { packageId: 'pkg_starter', paymentMethodId: 'pm_card_visa', amount: 1000 };

test('credits are bought, and stand in balance and history', async () => {
  const { client, id } = await join();
  const before = await client.credits.balance();
  assert.deepEqual([before.userId, before.currency, before.held], [id, 'credits', 0]);
  assert.equal((await client.credits.packages())[0]?.id, 'pkg_starter');

  const purchase = await client.credits.purchase(STARTER);
  assert.deepEqual([purchase.status, purchase.credits, purchase.price], ['completed', 1000, 10]);
  assert.equal((await client.credits.balance()).balance, before.balance + 1000);
  const { data } = await client.credits.history().page();
  assert.deepEqual([data[0]?.type, data[0]?.amount], ['purchase', 1000]);
  assert.equal((await client.credits.getPurchase(purchase.id)).status, 'completed');
});

test('the same key buys once', async () => {
  const { client } = await join();
  const first = await client.credits.purchase(STARTER, { idempotencyKey: 'my-order-1' });
  const second = await client.credits.purchase(STARTER, { idempotencyKey: 'my-order-1' });
  assert.equal(second.id, first.id);
  const third = await client.credits.purchase(STARTER);
  assert.notEqual(third.id, first.id);
});

test('a purchase that fails says why', async () => {
  const { client } = await join();
  await assert.rejects(client.credits.purchase({ ...STARTER, packageId: 'pkg_none' }), (error) => {
    return error instanceof ValidationError || error instanceof NotFoundError;
  });
  await assert.rejects(
    client.credits.purchase({ paymentMethodId: 'pm_card_visa', amount: -5 }),
    ValidationError,
  );
  await assert.rejects(
    client.credits.purchase({ ...STARTER, paymentMethodId: 'pm_card_chargeCustomerFail' }),
    PaymentFailedError,
  );
  await assert.rejects(client.credits.getPurchase('none'), NotFoundError);
});

test('a history is read item by item or page by page, to its end', async () => {
  const { client, id } = await join();
  const root = await admin();
  for (const amount of [1, 2, 3, 4, 5, 6]) {
    await root.admin.users.adjustCredits(id, { amount, reason: 'A page to turn', type: 'bonus' });
  }
  const lines = await all(client.credits.history({ limit: 3 }));
  assert.deepEqual(lines.map(({ amount }) => amount).slice(0, 6), [6, 5, 4, 3, 2, 1]);
  const pages = await all(client.credits.history({ limit: 3 }).pages());
  assert.deepEqual(
    pages.map(({ pagination }) => [pagination.page, pagination.hasPrev, pagination.hasNext]),
    [
      [1, false, true],
      [2, true, true],
      [3, true, false],
    ],
  );
  assert.deepEqual(
    pages.flatMap(({ data }) => data),
    lines,
  );
  assert.equal((await all(client.credits.history({ page: 3, limit: 3 }))).length, lines.length - 6);
  assert.deepEqual((await client.credits.history({ limit: 3 }).page(2)).data, lines.slice(3, 6));
  const adjusted = await all(
    client.credits.history({ type: 'bonus', sort: 'createdAt', since: new Date(0) }),
  );
  assert.deepEqual(adjusted, [...lines].reverse());
  assert.deepEqual(await all(client.credits.history({ until: '2020-01-01' })), []);
});

test('an item that a newer one pushes on to the next page comes once', async () => {
  const { client, id } = await join();
  const root = await admin();
  for (const amount of [1, 2, 3]) {
    await root.admin.users.adjustCredits(id, { amount, reason: 'Before' });
  }
  const seen: string[] = [];
  for await (const line of client.credits.history({ limit: 2 })) {
    if (seen.length === 0) {
      await root.admin.users.adjustCredits(id, { amount: 4, reason: 'Meanwhile' });
    }
    seen.push(line.id);
  }
  assert.equal(new Set(seen).size, seen.length);
  assert.equal(seen.length, (await client.credits.history().page()).pagination.total - 1);
});

test('an API key is good for what it was made for', async () => {
  const client = stranger({ apiKey: told('HUB_API_KEY') });
  assert.equal((await client.credits.balance()).currency, 'credits');
  await assert.rejects(client.admin.metrics(), { status: 403, code: 'AUTHORIZATION_FAILED' });
  await assert.rejects(stranger({ apiKey: 'wrong' }).credits.balance(), AuthenticationError);
  await assert.rejects(stranger().credits.balance(), AuthenticationError);
});
