import type { PageQuery, Role, UserStatus } from './common.js';

/** A user in the list. Who was never active is as the account was opened; `credits` is free to spend. */
export interface ListedUser {
  id: string;
  email: string;
  firstName: string;
  lastName: string;
  role: Role;
  status: UserStatus;
  emailVerified: boolean;
  credits: number;
  createdAt: string;
  lastActiveAt: string;
}

/** Everything that is kept of a user. `heldCredits` is set aside for calls that run now. */
export interface UserDetails extends ListedUser {
  username: string | null;
  phone: string | null;
  timezone: string | null;
  language: string | null;
  heldCredits: number;
  updatedAt: string;
}

/** What users are sorted by; with a minus, the largest or latest first. */
export type UserSort =
  | 'createdAt'
  | '-createdAt'
  | 'lastActiveAt'
  | '-lastActiveAt'
  | 'email'
  | '-email'
  | 'firstName'
  | '-firstName'
  | 'lastName'
  | '-lastName';

/** Which users to list. `search` is a part of the address, username or name. */
export interface UserQuery extends PageQuery {
  role?: Role | undefined;
  status?: UserStatus | undefined;
  search?: string | undefined;
  sort?: UserSort | undefined;
}

/** What is left out stays as it is. `credits` is what the user shall have; the way there is an adjustment. */
export interface UserUpdate {
  role?: Role | undefined;
  status?: UserStatus | undefined;
  credits?: number | undefined;
  reason?: string | undefined;
}

/** What an adjustment is: a gift out of promotions, or the setting right of something. */
export type AdjustmentType = 'bonus' | 'adjustment';

/** Credits to give, or with a negative amount to take. */
export interface Adjustment {
  amount: number;
  reason: string;
  type?: AdjustmentType | undefined;
}

/** An adjustment that is in the ledger, and the balance after it. */
export interface AdjustmentResult {
  transactionId: string;
  userId: string;
  amount: number;
  type: AdjustmentType;
  reason: string;
  balance: number;
  currency: 'credits';
}

/** `active` users are those that are not suspended, `newThisMonth` those of this month (UTC). */
export interface UserFigures {
  total: number;
  active: number;
  newThisMonth: number;
}

/** Credits bought before any refund, credits that calls took, and the dollars received less those refunded. */
export interface CreditFigures {
  totalPurchased: number;
  totalUsed: number;
  revenue: number;
}

/** Of the process that answers, today: requests, their mean time in milliseconds, the share that failed. */
export interface ApiFigures {
  requestsToday: number;
  averageResponseTime: number;
  errorRate: number;
}

/** The installation in numbers. */
export interface SystemMetrics {
  users: UserFigures;
  credits: CreditFigures;
  api: ApiFigures;
}
