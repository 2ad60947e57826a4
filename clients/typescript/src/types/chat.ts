/** A model under one of its names; `name` is the model that answers to `id`. Pricing is in dollars for one token. */
export interface Model {
  id: string;
  name: string;
  provider: string;
  description: string;
  pricing: ModelPricing;
  capabilities: string[];
}

/** Dollars for one token. */
export interface ModelPricing {
  inputTokens: number;
  outputTokens: number;
}

/** One message of a conversation. */
export interface ChatMessage {
  role: 'system' | 'user' | 'assistant';
  content: string;
}

/** A conversation that a model is to go on with. */
export interface ChatCompletionRequest {
  model: string;
  messages: readonly ChatMessage[];
  maxTokens?: number | undefined;
  /** 0 to 2. */
  temperature?: number | undefined;
  stream?: boolean | undefined;
}

/** Tokens of a call. */
export interface TokenUsage {
  promptTokens: number;
  completionTokens: number;
  totalTokens: number;
}

/** What the model said. */
export interface AnswerMessage {
  role: 'assistant';
  content: string;
}

/** An answer, and why it ended. */
export interface ChatChoice {
  index: number;
  message: AnswerMessage;
  finishReason: string | null;
}

/** A whole completion; `cost` is what it took, in dollars. */
export interface ChatCompletion {
  id: string;
  model: string;
  choices: ChatChoice[];
  usage: TokenUsage;
  cost: number;
}

/** What a piece adds to an answer. */
export interface ChatDelta {
  role?: string;
  content?: string;
}

/** An answer, as far as a piece takes it. */
export interface ChatChunkChoice {
  index: number;
  delta: ChatDelta;
  finishReason: string | null;
}

/** A piece of a streamed completion. The last one has no choices, but usage, and cost in dollars. */
export interface ChatCompletionChunk {
  id: string;
  model: string;
  choices: ChatChunkChoice[];
  usage?: TokenUsage;
  cost?: number;
}
