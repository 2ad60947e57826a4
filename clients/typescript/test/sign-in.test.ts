import assert from 'node:assert/strict';
import { test } from 'node:test';
import { APIError } from '@smartaihub/client';
import { stranger, told } from './hub.js';

const HEADERS = { 'X-Forwarded-For': '192.0.2.1' };

/** Where a browser is sent from here, and the cookie that it gets. */
async function step(url: string, cookie = ''): Promise<{ to: string; cookie: string }> {
  const response = await fetch(url, { redirect: 'manual', headers: { ...HEADERS, Cookie: cookie } });
  const to = response.headers.get('location');
  assert.ok(to, `${response.status}: ${await response.text()}`);
  return { to, cookie: response.headers.getSetCookie()[0]?.split(';')[0] ?? '' };
}

/** What the app is told when the browser is back. */
async function comeBack(url: string): Promise<URLSearchParams> {
  const { to: provider, cookie } = await step(url);
  const { to: callback } = await step(provider);
  const { to: app } = await step(callback, cookie);
  assert.ok(app.startsWith(told('HUB_APP')), app);
  return new URL(app).searchParams;
}

test('somebody signs in with a provider', async () => {
  const client = stranger();
  const [provider] = await client.auth.providers();
  assert.deepEqual(provider, { name: 'acme', title: 'Acme', path: '/api/auth/oidc/acme' });
  const asked = { redirectURI: told('HUB_APP'), provider: provider.name };
  const begun = await client.auth.beginSignIn(asked);
  const back = await comeBack(begun.url);
  assert.equal(back.get('state'), begun.state);
  const code = back.get('code') ?? assert.fail(`${back}`);
  const { user } = await client.auth.exchange({ code, codeVerifier: begun.codeVerifier });
  assert.equal((await client.users.me()).id, user.id);

  const stolen = (await comeBack((await client.auth.beginSignIn(asked)).url)).get('code') ?? assert.fail();
  await assert.rejects(
    stranger().auth.exchange({ code: stolen, codeVerifier: begun.codeVerifier }),
    APIError,
  );
  await assert.rejects(stranger().auth.exchange({ code }), APIError);
});

test('a provider goes by its name, Google without one', async () => {
  const { url } = await stranger().auth.beginSignIn({ redirectURI: 'https://app.example/a?b=c' });
  const { pathname, searchParams } = new URL(url);
  assert.match(pathname, /\/api\/auth\/google$/);
  assert.equal(searchParams.get('redirect_uri'), 'https://app.example/a?b=c');
  assert.match(`${searchParams.get('code_challenge')}`, /^[\w-]{43}$/);
});
