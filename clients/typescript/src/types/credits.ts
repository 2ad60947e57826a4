import type { PageQuery } from './common.js';

/** A user's credits: `balance` is free to spend, `held` is set aside for calls that run now. */
export interface Balance {
  userId: string;
  balance: number;
  held: number;
  currency: 'credits';
  lastUpdated: string;
}

/** What a change of credits can be. */
export type HistoryType = 'purchase' | 'usage' | 'bonus' | 'adjustment' | 'refund';

/** A change of a user's credits. `balance` is what the user owned afterwards, held credits included. */
export interface HistoryLine {
  id: string;
  type: HistoryType;
  amount: number;
  balance: number;
  description: string;
  createdAt: string;
}

/** Which lines to list: of this type, written at `since` or later and before `until`; oldest first by `createdAt`. */
export interface HistoryQuery extends PageQuery {
  type?: HistoryType | undefined;
  since?: Date | string | undefined;
  until?: Date | string | undefined;
  sort?: 'createdAt' | '-createdAt' | undefined;
}

/** Credits that are sold together. `price` is in dollars. */
export interface CreditPackage {
  id: string;
  name: string;
  credits: number;
  price: number;
  currency: 'usd';
}

/** A package, or a free amount of credits; where both are given, the amount is what the package holds. */
export interface PurchaseOrder {
  /** Id of a PaymentMethod of Stripe's. */
  paymentMethodId: string;
  packageId?: string | undefined;
  amount?: number | undefined;
}

/** Where a purchase stands. */
export type PurchaseStatus =
  | 'completed'
  | 'requires_action'
  | 'processing'
  | 'failed'
  | 'cancelled'
  | 'mismatch';

/**
 * A purchase as it stands. `clientSecret` is there while the buyer has to act (pass it to Stripe.js), `message` says
 * what comes next, and `balance` is what is free to spend now.
 */
export interface Purchase {
  id: string;
  status: PurchaseStatus;
  packageId: string | null;
  credits: number;
  price: number;
  currency: 'usd';
  balance: number;
  clientSecret: string | null;
  message: string;
  createdAt: string;
}
