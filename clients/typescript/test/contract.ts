/** The contract that the server publishes. */
import { readFile } from 'node:fs/promises';
import { told } from './hub.js';

interface Operation {
  parameters?: { name: string; in: string }[];
}

export interface Contract {
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, { properties?: Record<string, unknown> }> };
}

export async function contract(): Promise<Contract> {
  return JSON.parse(await readFile(told('HUB_CONTRACT'), 'utf8')) as Contract;
}

/** An operation, whatever its parameters are called. */
export const shape = (method: string, path: string) =>
  `${method.toUpperCase()} ${path.replace(/\{\w+\}/g, '{}')}`;
