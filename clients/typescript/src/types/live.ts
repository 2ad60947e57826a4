/** Something that happened to the signed-in user. `id` counts from 1 for each user, without gaps. */
export interface LiveEvent<Data = Record<string, unknown>> {
  id: number;
  /** What happened: `payment.completed`, `notification.created`, ... */
  event: string;
  data: Data;
  timestamp: string;
}
