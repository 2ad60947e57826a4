/** The installation that the tests talk to, and people who use it. */
import { randomBytes, randomInt } from 'node:crypto';
import { type ClientOptions, SmartAIHubClient } from '@smartaihub/client';

export const PASSWORD = 'securePassword123';

/** A value that the test's driver must give. */
export function told(name: string): string {
  const value = process.env[name];
  if (value === undefined) {
    throw new Error(
      `${name} is not set. These tests are run by pytest: script/test tests/clients/typescript`,
    );
  }
  return value;
}

export const MODEL = told('HUB_MODEL');

/** A client at an address of its own, so that tests do not share its limits. */
export function stranger(options: Partial<ClientOptions> = {}): SmartAIHubClient {
  const address = `10.${randomInt(256)}.${randomInt(256)}.${randomInt(1, 255)}`;
  return new SmartAIHubClient({
    baseURL: told('HUB_URL'),
    headers: { 'X-Forwarded-For': address },
    ...options,
  });
}

/** An e-mail address that nobody has. */
export function newAddress(): string {
  return `person-${randomBytes(6).toString('hex')}@example.com`;
}

/** Somebody who registered and logged in. */
export interface Person {
  client: SmartAIHubClient;
  id: string;
  email: string;
}

/** Somebody new. */
export async function join(options: Partial<ClientOptions> = {}): Promise<Person> {
  const client = stranger(options);
  const email = newAddress();
  const { id } = await client.auth.register({
    email,
    password: PASSWORD,
    firstName: 'John',
    lastName: 'Doe',
  });
  await client.auth.login({ email, password: PASSWORD });
  return { client, id, email };
}

/** The administrator of the installation. */
export async function admin(options: Partial<ClientOptions> = {}): Promise<SmartAIHubClient> {
  const client = stranger(options);
  await client.auth.login({ email: told('HUB_ADMIN_EMAIL'), password: told('HUB_ADMIN_PASSWORD') });
  return client;
}

/** What `look` gives, as soon as it gives something. */
export async function eventually<T>(look: () => Promise<T | undefined>): Promise<T> {
  const until = Date.now() + 30_000;
  while (Date.now() < until) {
    const found = await look();
    if (found !== undefined) {
      return found;
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error('it did not come to be within 30 seconds');
}

/** All of something that comes piece by piece. */
export async function all<T>(pieces: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const piece of pieces) {
    found.push(piece);
  }
  return found;
}
