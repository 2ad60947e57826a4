import type { PageQuery } from './common.js';

/** What a webhook can hear of. The server may know more than these. */
export type WebhookEventType =
  | 'user.created'
  | 'user.updated'
  | 'credit.purchased'
  | 'credit.used'
  | 'payment.completed'
  | 'payment.failed'
  | (string & {});

/** A webhook. `failingSince` is when it last began to refuse every delivery. */
export interface Webhook {
  id: string;
  url: string;
  events: string[];
  active: boolean;
  failingSince: string | null;
  disabledAt: string | null;
  disabledReason: string | null;
  createdAt: string;
  updatedAt: string;
}

/** A webhook and its secret, which is not shown again. */
export interface WebhookWithSecret extends Webhook {
  secret: string;
}

/** An address and what it wants to hear of. Without a secret a random one is made. */
export interface NewWebhook {
  url: string;
  events: readonly WebhookEventType[];
  secret?: string | undefined;
  active?: boolean | undefined;
}

/** What to change; what is left out stays. */
export interface WebhookUpdate {
  url?: string | undefined;
  events?: readonly WebhookEventType[] | undefined;
  secret?: string | undefined;
  active?: boolean | undefined;
}

/** Where a delivery stands: still tried, taken by the receiver, or given up. */
export type DeliveryStatus = 'pending' | 'delivered' | 'dead';

/** One event on its way to one webhook. `eventId` is also the header `webhook-id`. */
export interface Delivery {
  id: string;
  webhookId: string;
  eventId: string;
  eventType: string;
  status: DeliveryStatus;
  attempts: number;
  occurredAt: string;
  createdAt: string;
  nextAttemptAt: string | null;
  endedAt: string | null;
}

/** One try: the receiver's status and the beginning of its answer, or why there was none. */
export interface DeliveryAttempt {
  at: string;
  statusCode: number | null;
  error: string | null;
  response: string | null;
  durationMs: number;
}

/** A delivery and every try, oldest first. */
export interface DeliveryDetails extends Delivery {
  log: DeliveryAttempt[];
}

/** Which deliveries to list: written at `since` or later, and before `until`. */
export interface DeliveryQuery extends PageQuery {
  status?: DeliveryStatus | undefined;
  event?: string | undefined;
  since?: Date | string | undefined;
  until?: Date | string | undefined;
}

/** What arrives at a webhook. `eventId` stays the same however often an event comes. */
export interface WebhookEvent<Data = Record<string, unknown>> {
  eventId: string;
  eventType: WebhookEventType;
  timestamp: string;
  data: Data;
  signature: string;
}
