import type { CallOptions } from "./transport.js";
import type * as wire from "./wire.js";

/** For the updates: a stale write is refused (`CONFLICT`) instead of overwriting what came since. */
export interface UpdateOptions extends CallOptions {
  /** `updated_at` of the entity as it was read. */
  ifUpdatedAt?: string;
}

/** What `executeToolIdempotent` can be told beyond v0.1. */
export interface ExecuteOptions extends CallOptions {
  /** Ask who may run it; without, the record alone is given, as in v0.1. */
  lease?: boolean;
  leaseMs?: number;
  /** A busy caller waits so long for the result. */
  waitMs?: number;
  /** The same over a caller's retries; made afresh for each call unless given. */
  claimId?: string;
  /** Another input under the same key: `return` the stored execution, or refuse (`KEY_REUSE`). */
  onMismatch?: wire.OnMismatch;
}

/** What a list of executions shows; absent members do not restrict it. */
export interface ExecutionFilter {
  userId?: string;
  sessionId?: string;
  goalId?: string;
  status?: wire.ExecutionStatus;
  toolName?: string;
  origin?: wire.Origin;
  after?: string;
  before?: string;
  limit?: number;
  cursor?: string;
}
