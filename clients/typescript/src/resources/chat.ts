import { EventStream } from '../http/stream.js';
import type { Transport } from '../http/transport.js';
import { OPERATIONS } from '../operations.js';
import type { RequestOptions } from '../options.js';
import type { ChatCompletion, ChatCompletionChunk, ChatCompletionRequest } from '../types/index.js';

/** A streamed completion: `for await (const piece of stream)`. */
export type ChatStream = EventStream<ChatCompletionChunk>;

/** A request for a stream. */
export type StreamedRequest = ChatCompletionRequest & { stream: true };

/** A request for a whole answer. */
export type WholeRequest = ChatCompletionRequest & { stream?: false | undefined };

/** Answers of models. */
export class Completions {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** Ask a model; what it took is charged. With `stream: true` the answer comes in pieces. */
  create(body: StreamedRequest, options?: RequestOptions): Promise<ChatStream>;
  create(body: WholeRequest, options?: RequestOptions): Promise<ChatCompletion>;
  create(body: ChatCompletionRequest, options?: RequestOptions): Promise<ChatStream | ChatCompletion>;
  async create(body: ChatCompletionRequest, options?: RequestOptions): Promise<ChatStream | ChatCompletion> {
    const call = { operation: OPERATIONS.chat, body, options };
    return body.stream ? new EventStream(await this.#transport.open(call)) : this.#transport.data(call);
  }
}

/** Conversations with models. */
export class Chat {
  readonly completions: Completions;

  constructor(transport: Transport) {
    this.completions = new Completions(transport);
  }
}
