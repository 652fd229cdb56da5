import type { CallOptions } from "./transport.js";
import type * as wire from "./wire.js";

/** Options of the updates: a stale write is refused (`CONFLICT`) instead of overwriting a later one. */
export interface UpdateOptions extends CallOptions {
  /** The entity's `updated_at` when it was read. */
  ifUpdatedAt?: string;
}

/** Options of `executeToolIdempotent` that v0.1 does not have. */
export interface ExecuteOptions extends CallOptions {
  /** Claims the execution: `claim` says who may run it. Without it only the record returns, as in v0.1. */
  lease?: boolean;
  leaseMs?: number;
  /** Milliseconds to wait for the result if the claim is busy. */
  waitMs?: number;
  /** The same value for all retries of one claim. Default: a new one for each call. */
  claimId?: string;
  /** For a different input under the same key: `return` the stored execution, or refuse (`KEY_REUSE`). */
  onMismatch?: wire.OnMismatch;
}

/** A filter for lists of executions. An absent member does not restrict the list. */
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
