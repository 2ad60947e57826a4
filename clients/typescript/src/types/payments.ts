import type { PageQuery } from './common.js';
import type { PurchaseStatus } from './credits.js';

/** A payment. `refunded` and `disputed` are the dollars of it that went back, by whomever that was asked for. */
export interface Payment {
  id: string;
  userId: string;
  status: PurchaseStatus;
  packageId: string | null;
  credits: number;
  price: number;
  refunded: number;
  disputed: number;
  currency: 'usd';
  /** Stripe's id of the PaymentIntent. */
  providerId: string | null;
  failure: string | null;
  createdAt: string;
}

/** A payment with the refunds that administrators asked for, newest first. */
export interface PaymentDetails extends Payment {
  refunds: Refund[];
}

/** Which payments to list. */
export interface PaymentQuery extends PageQuery {
  status?: PurchaseStatus | undefined;
  userId?: string | undefined;
}

/** What to give back, in dollars, and why. Without `usd`, all that is left of the purchase. */
export interface RefundOrder {
  usd?: number | undefined;
  reason: string;
}

/** A refund. `credits` went out of the buyer's wallet, `uncoveredCredits` were spent. */
export interface Refund {
  id: string;
  paymentId: string;
  status: 'completed' | 'processing' | 'failed';
  usd: number;
  credits: number;
  uncoveredCredits: number;
  reason: string;
  failure: string | null;
  requestedBy: string;
  createdAt: string;
}
