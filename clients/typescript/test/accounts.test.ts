import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join as joinPath } from 'node:path';
import { test } from 'node:test';
import {
  AuthenticationError,
  ConflictError,
  NotFoundError,
  PermissionDeniedError,
  RateLimitError,
  type Tokens,
  ValidationError,
} from '@smartaihub/client';
import { eventually, join, newAddress, PASSWORD, stranger, told } from './hub.js';

const NEW_PASSWORD = 'newSecurePassword123';

test('a new account logs in, is known, and logs out', async () => {
  const client = stranger();
  const email = newAddress();
  const account = await client.auth.register({
    email,
    password: PASSWORD,
    firstName: 'John',
    lastName: 'Doe',
  });
  assert.deepEqual([account.email, account.firstName, account.role], [email, 'John', 'user']);
  assert.equal(client.auth.tokens, undefined);

  const { user, tokens } = await client.auth.login({ email, password: PASSWORD });
  assert.equal(user.id, account.id);
  assert.deepEqual(client.auth.tokens, tokens);
  const me = await client.users.me();
  assert.deepEqual([me.id, me.phone], [account.id, null]);

  await client.auth.logout();
  assert.equal(client.auth.tokens, undefined);
  await assert.rejects(client.users.me(), AuthenticationError);
  const late = stranger({ tokens: { ...tokens, refreshToken: 'none' } });
  await assert.rejects(late.users.me(), AuthenticationError);
});

test('logging out of a session that has ended already is no failure', async () => {
  const { client } = await join();
  const twin = stranger({ tokens: client.auth.tokens });
  await client.auth.logout();
  await twin.auth.logout();
  assert.equal(twin.auth.tokens, undefined);
});

test('the profile changes where it is told to', async () => {
  const { client } = await join();
  const me = await client.users.updateMe({
    phone: '+1234567890',
    timezone: 'America/New_York',
    language: 'en',
  });
  assert.deepEqual(
    [me.firstName, me.phone, me.timezone, me.language],
    ['John', '+1234567890', 'America/New_York', 'en'],
  );
});

test('nobody acts in the name of somebody new', async () => {
  const { client } = await join();
  assert.deepEqual(await client.users.applications(), []);
  await assert.rejects(client.users.endApplication('none'), NotFoundError);
});

test('an access token that is refused is renewed once for all calls that wait', async () => {
  const { client } = await join();
  const { tokens } = client.auth;
  assert.ok(tokens);
  const kept: (Tokens | undefined)[] = [];
  const again = stranger({
    tokens: { ...tokens, accessToken: 'expired' },
    onTokens: (renewed) => kept.push(renewed),
  });
  const answers = await Promise.all([again.users.me(), again.credits.balance(), again.models.list()]);
  assert.equal(answers[0].id, answers[1].userId);
  assert.deepEqual(kept, [again.auth.tokens]);
  assert.notEqual(again.auth.tokens?.refreshToken, tokens.refreshToken);
});

test('tokens are renewed on demand, and a session that ended is given up', async () => {
  const kept: (Tokens | undefined)[] = [];
  const { client } = await join({ onTokens: (tokens) => kept.push(tokens) });
  const first = client.auth.tokens;
  const renewed = await client.auth.refresh();
  assert.notEqual(renewed.refreshToken, first?.refreshToken);
  const thief = stranger({ tokens: first });
  await assert.rejects(thief.auth.refresh(), AuthenticationError); // spent: the session ends
  await assert.rejects(client.users.me(), AuthenticationError);
  assert.equal(client.auth.tokens, undefined);
  assert.equal(kept.at(-1), undefined);
  await assert.rejects(client.auth.refresh(), /Nobody is logged in/);
});

test('a forgotten password is reset by mail', async () => {
  const { client, email } = await join();
  assert.match((await client.auth.forgotPassword(email)).message, /link/);
  await client.auth.resetPassword({ token: await mailedToken(email), newPassword: NEW_PASSWORD });
  await assert.rejects(client.users.me(), AuthenticationError);
  await client.auth.login({ email, password: NEW_PASSWORD });
  await assert.rejects(
    client.auth.resetPassword({ token: 'nonsense', newPassword: NEW_PASSWORD }),
    (error) => error instanceof ValidationError && error.details[0]?.field === 'token',
  );
});

test('a password is changed by who knows it', async () => {
  const { client, email } = await join();
  await client.auth.changePassword({ currentPassword: PASSWORD, newPassword: NEW_PASSWORD });
  await client.auth.login({ email, password: NEW_PASSWORD });
  await assert.rejects(client.auth.login({ email, password: PASSWORD }), AuthenticationError);
});

test('what is wrong is told by class, code, status, field and request id', async () => {
  const { client, email } = await join();
  await assert.rejects(
    client.auth.register({ email: 'nobody', password: 'x' }, { requestId: 'mine-1' }),
    (error) => {
      assert.ok(error instanceof ValidationError);
      assert.deepEqual([error.name, error.code, error.status], ['ValidationError', 'VALIDATION_ERROR', 422]);
      assert.ok(error.details.some(({ field, message }) => field === 'email' && message !== ''));
      assert.equal(error.requestId, 'mine-1');
      return true;
    },
  );
  await assert.rejects(client.auth.register({ email, password: PASSWORD }), ConflictError);
  await assert.rejects(client.admin.metrics(), PermissionDeniedError);
});

test('who asks too often is told when to come again', async () => {
  const client = stranger({ maxRetries: 0 });
  const refused = async (): Promise<RateLimitError | undefined> => {
    const error: unknown = await client.auth.forgotPassword(newAddress()).catch((reason: unknown) => reason);
    return error instanceof RateLimitError ? error : undefined;
  };
  const error = await eventually(refused);
  assert.equal(error.code, 'RATE_LIMIT_EXCEEDED');
  assert.ok(error.retryAfter !== undefined && error.retryAfter > 0 && error.retryAfter <= 60);
});

async function mailedToken(email: string): Promise<string> {
  return eventually(async () => {
    for (const name of await readdir(told('HUB_MAIL')).catch(() => [])) {
      const letter = await readFile(joinPath(told('HUB_MAIL'), name), 'utf8');
      const token = /\/reset-password\?token=([\w.~-]+)/.exec(letter)?.[1];
      if (letter.includes(email) && token !== undefined) {
        return token;
      }
    }
    return undefined;
  });
}
