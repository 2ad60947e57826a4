import type { Role } from './common.js';

/** A user as login shows it. Times here and elsewhere are ISO 8601 in UTC: `2023-10-15T10:30:00Z`. */
export interface Account {
  id: string;
  email: string;
  firstName: string;
  lastName: string;
  role: Role;
  emailVerified: boolean;
  createdAt: string;
}

/** The current user. What was never told is null. */
export interface User extends Account {
  phone: string | null;
  timezone: string | null;
  language: string | null;
  updatedAt: string;
}

/** An application that acts in the user's name. `clientId` is its own id or address. */
export interface Application {
  id: string;
  name: string;
  clientId: string;
  scopes: string[];
  createdAt: string;
  lastUsedAt: string;
}

/** The tokens of a session. `expiresIn` is the life of the access token in seconds. */
export interface Tokens {
  accessToken: string;
  refreshToken: string;
  expiresIn: number;
}

/** A session that was opened. */
export interface LoggedIn {
  user: Account;
  tokens: Tokens;
}

/** A new account. */
export interface Registration {
  email: string;
  password: string;
  firstName?: string | undefined;
  lastName?: string | undefined;
}

/** E-mail address and password. */
export interface Credentials {
  email: string;
  password: string;
}

/** The token of a reset link, good once, and the password to be. */
export interface PasswordReset {
  token: string;
  newPassword: string;
}

/** The present password, and the one to be. */
export interface PasswordChange {
  currentPassword: string;
  newPassword: string;
}

/** What is left out stays as it is; an empty text clears it. */
export interface ProfileUpdate {
  firstName?: string | undefined;
  lastName?: string | undefined;
  phone?: string | undefined;
  timezone?: string | undefined;
  language?: string | undefined;
}
