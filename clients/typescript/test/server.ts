/** A small real server whose behaviour a test decides. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A request with its body. */
export type Request = IncomingMessage & { body: string };

export type Handler = (request: Request, response: ServerResponse) => Promise<void> | void;

export interface Serving extends AsyncDisposable {
  url: string;
}

/** Serve on a free port of 127.0.0.1 until it is disposed of; connections that are open then are cut. */
export async function serving(handler: Handler): Promise<Serving> {
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const piece of request) {
      body += piece;
    }
    await handler(Object.assign(request, { body }), response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** An answer in the envelope. */
export function answer(response: ServerResponse, data: unknown, status = 200): void {
  const body = { success: true, data, meta: { timestamp: '', requestId: 'r', version: '1.0' } };
  response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(body));
}

/** A failure in the envelope. */
export function refuse(
  response: ServerResponse,
  status: number,
  code: string,
  headers: Record<string, string> = {},
): void {
  const error = { code, message: `It is ${code}.`, details: [] };
  const body = { success: false, error, meta: { timestamp: '', requestId: 'r', version: '1.0' } };
  response.writeHead(status, { 'Content-Type': 'application/json', ...headers }).end(JSON.stringify(body));
}
