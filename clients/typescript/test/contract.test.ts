/** The package beside the contract, and beside its own promises. */
import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { OPERATIONS, VERSION } from '@smartaihub/client';
import { contract, shape } from './contract.js';

const SOURCE = 'src';
/** Where a browser goes itself. */
const NOT_CALLED = /^GET \/api\/auth\/(google|oidc)/;

async function sources(): Promise<Map<string, string>> {
  const names = (await readdir(SOURCE, { recursive: true })).filter((name) => name.endsWith('.ts'));
  return new Map(
    await Promise.all(names.map(async (name) => [name, await readFile(join(SOURCE, name), 'utf8')] as const)),
  );
}

test('the client knows every operation of the contract, and no other', async () => {
  const { paths } = await contract();
  const served = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => shape(method, path)),
  );
  const known = Object.values(OPERATIONS).map(({ method, path }) => shape(method, path));
  const expected = served.filter((operation) => !NOT_CALLED.test(operation));
  const missing = expected.filter((operation) => !known.includes(operation));
  const gone = known.filter((operation) => !expected.includes(operation));
  assert.deepEqual({ missing, gone }, { missing: [], gone: [] });
});

test('every operation that the contract gives a key is keyed', async () => {
  const { paths } = await contract();
  for (const operation of Object.values(OPERATIONS)) {
    const [, methods] =
      Object.entries(paths).find(([path]) => shape('', path) === shape('', operation.path)) ??
      assert.fail(operation.path);
    const { parameters = [] } = methods[operation.method.toLowerCase()] ?? assert.fail(operation.path);
    if (parameters.some(({ name }) => name === 'Idempotency-Key')) {
      assert.ok('keyed' in operation, operation.path);
    }
  }
});

test('every operation is used', async () => {
  const text = [...(await sources()).values()].join('\n');
  const unused = Object.keys(OPERATIONS).filter((name) => !text.includes(`OPERATIONS.${name}`));
  assert.deepEqual(unused, []);
});

test('the sources use what every platform has: no package, and nothing of Node.js', async () => {
  for (const [name, text] of await sources()) {
    const from = [...text.matchAll(/(?:from|import)\s*\(?'([^']+)'/g)].map(([, module]) => `${module}`);
    assert.deepEqual(
      from.filter((module) => !/^\.{1,2}\/.*\.js$/.test(module)),
      [],
      name,
    );
    assert.doesNotMatch(text, /\b(?:process|Buffer|require)\b[.(]/, name);
  }
});

test('the package is what it says', async () => {
  const described = JSON.parse(await readFile('package.json', 'utf8')) as Record<string, unknown>;
  assert.equal(described.version, VERSION);
  assert.equal(described.dependencies, undefined);
  assert.equal(described.sideEffects, false);
  const lock = await readFile('package-lock.json', 'utf8');
  assert.doesNotMatch(lock, /"resolved"/);
});
