/** What a user is to the platform. */
export type Role = 'user' | 'node_operator' | 'admin';

/** Whether a user may act. */
export type UserStatus = 'active' | 'suspended';

/** Where a page lies in its list. */
export interface Pagination {
  page: number;
  limit: number;
  total: number;
  totalPages: number;
  hasNext: boolean;
  hasPrev: boolean;
}

/** A page of a list. */
export interface Page<T> {
  data: T[];
  pagination: Pagination;
}

/** Which page to begin with (1 is the first), and how many items a page has (at most 100). */
export interface PageQuery {
  page?: number | undefined;
  limit?: number | undefined;
}

/** A plain word about what happened. */
export interface Said {
  message: string;
}
