/** The hand-written types beside the schemas of the contract: the same fields, by name. */
import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { OPERATIONS } from '@smartaihub/client';
import { type Contract, contract, shape } from './contract.js';

/** Names that the contract has for our types. */
const TYPE_OF_SCHEMA: Record<string, string> = {
  AccountView: 'Account',
  AdjustmentView: 'AdjustmentResult',
  ApplicationView: 'Application',
  AttemptView: 'DeliveryAttempt',
  BalanceView: 'Balance',
  ChatCompletionBody: 'ChatCompletionRequest',
  ChatCompletionView: 'ChatCompletion',
  ChoiceView: 'ChatChoice',
  DeliveryView: 'Delivery',
  Login: 'Credentials',
  ModelView: 'Model',
  NewSubscription: 'NewPushSubscription',
  NotificationView: 'Notification',
  PackageView: 'CreditPackage',
  PricingView: 'ModelPricing',
  PaymentView: 'Payment',
  ProviderView: 'SignInProvider',
  PurchaseView: 'Purchase',
  PushKeyView: 'PushKey',
  RefundView: 'Refund',
  SettingsUpdate: 'NotificationSettingsUpdate',
  SettingsView: 'NotificationSettings',
  SubscriptionKeys: 'PushSubscriptionKeys',
  SubscriptionView: 'RegisteredPushSubscription',
  TokensView: 'Tokens',
  UsageView: 'TokenUsage',
  UserView: 'User',
  WebhookView: 'Webhook',
};

/** What the client wraps, unwraps or writes within another type. */
const WITHIN = /^(Envelope|PageEnvelope|HTTPValidationError|ValidationError|Meta$|Problem$|ErrorEnvelope$)/;
const INLINE = [
  'CategoriesChanges',
  'CategoryChanges',
  'ForgottenPassword',
  'Refresh',
  'Refreshed',
  'Registered',
];

/** The types of the queries. */
const TYPE_OF_QUERY: Partial<Record<keyof typeof OPERATIONS, string>> = {
  deliveries: 'DeliveryQuery',
  history: 'HistoryQuery',
  notifications: 'NotificationQuery',
  payments: 'PaymentQuery',
  users: 'UserQuery',
  webhooks: 'PageQuery',
};

/** Name -> names of the fields of every interface, those that it extends included. */
async function interfaces(): Promise<Map<string, string[]>> {
  const folder = 'src/types';
  const files = (await readdir(folder)).map((name) => `${folder}/${name}`);
  const text = (await Promise.all([...files, 'src/errors.ts'].map((file) => readFile(file, 'utf8')))).join(
    '\n',
  );
  const found = new Map<string, { base: string | undefined; fields: string[] }>();
  for (const [, name, base, body] of text.matchAll(
    /interface (\w+)(?:<.*?>)?(?: extends (\w+))? \{\n(.*?)\n\}/gs,
  )) {
    const fields = [...`${body}`.matchAll(/^ {2}(\w+)\??:/gm)].map(([, field]) => `${field}`);
    found.set(`${name}`, { base, fields });
  }
  const fieldsOf = (name: string): string[] => {
    const { base, fields } = found.get(name) ?? assert.fail(name);
    return [...(base === undefined ? [] : fieldsOf(base)), ...fields];
  };
  return new Map([...found.keys()].map((name) => [name, fieldsOf(name).sort()]));
}

function schemas({ components }: Contract): [string, string[]][] {
  return Object.entries(components.schemas).flatMap(([name, { properties }]) =>
    properties === undefined || WITHIN.test(name) || INLINE.includes(name)
      ? []
      : [[name, Object.keys(properties).sort()] as [string, string[]]],
  );
}

test('every schema of the contract has a type with its fields', async () => {
  const ours = await interfaces();
  const theirs = schemas(await contract());
  assert.ok(theirs.length > 30);
  for (const [name, fields] of theirs) {
    const type = TYPE_OF_SCHEMA[name] ?? name;
    assert.deepEqual(ours.get(type), fields, `${type}, which is ${name} in the contract`);
  }
});

test('every list is filtered by what the contract names', async () => {
  const ours = await interfaces();
  const { paths } = await contract();
  for (const [name, operation] of Object.entries(OPERATIONS)) {
    const [, methods] =
      Object.entries(paths).find(([path]) => shape('', path) === shape('', operation.path)) ?? [];
    const parameters = methods?.[operation.method.toLowerCase()]?.parameters ?? [];
    const queried = parameters
      .filter((parameter) => parameter.in === 'query')
      .map((parameter) => parameter.name);
    const type = TYPE_OF_QUERY[name as keyof typeof OPERATIONS];
    assert.deepEqual(queried.sort(), type === undefined ? [] : ours.get(type), name);
  }
});
