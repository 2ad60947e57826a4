/**
 * One operation of the API, as far as sending it is concerned.
 *
 * - `open`: takes no token.
 * - `keyed`: honours `Idempotency-Key`, so that it may be sent again.
 * - `once`: must not be sent again where it is unknown whether it was done (a POST that is not keyed never is).
 */
export interface Operation {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** Below the base URL; `{name}` stands for a parameter. */
  readonly path: string;
  readonly open?: true;
  readonly keyed?: true;
  readonly once?: true;
}

/** Values of a query; those that are undefined are left out. */
export type Query = Readonly<Record<string, string | number | boolean | Date | undefined>>;

/** Whether the operation may be sent again although the first time may have been done. */
export function isRepeatable(operation: Operation): boolean {
  return operation.keyed === true || (operation.method !== 'POST' && operation.once !== true);
}

/** The URL of an operation. Throws TypeError for a parameter that would name something else. */
export function urlOf(
  baseURL: string,
  operation: Operation,
  parameters: Readonly<Record<string, string>> = {},
  query: Query = {},
): string {
  const path = operation.path.replace(/\{(\w+)\}/g, (_, name: string) => segment(parameters[name], name));
  return baseURL + path + searchOf(query);
}

function segment(value: string | undefined, name: string): string {
  if (typeof value !== 'string' || /^\.{0,2}$/.test(value)) {
    throw new TypeError(`${name} is an id, not ${JSON.stringify(value)}.`);
  }
  return encodeURIComponent(value);
}

function searchOf(query: Query): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined) {
      search.set(name, value instanceof Date ? value.toISOString() : String(value));
    }
  }
  return search.size === 0 ? '' : `?${search}`;
}
