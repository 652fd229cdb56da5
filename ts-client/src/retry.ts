/** What is known about a try that failed. */
export interface Failure {
  /** Not one byte of the request reached the engine. */
  unsent: boolean;
  /** The HTTP status, if there was an answer. */
  status?: number;
  /** The engine's error code, if it sent one. */
  code?: string;
  /** The header `x-should-retry`: `false` rules out a retry. */
  shouldRetry?: string | null;
}

/** The engine's codes for a call that changed nothing and can be tried again. */
const REFUSED = new Set(["BUSY", "BODY_STALLED"]);

/**
 * Whether a call may be sent again. A call that is not `repeatable` would create a second entity or
 * overwrite a later write: it is sent again only if it certainly was not carried out.
 */
export function mayRetry(repeatable: boolean, failure: Failure): boolean {
  const { unsent, status, code, shouldRetry } = failure;
  if (shouldRetry === "false") return false;
  const refused = unsent || status === 429 || (code !== undefined && REFUSED.has(code));
  if (refused) return true;
  if (!repeatable || code !== undefined) return false;
  if (status === undefined || shouldRetry === "true") return true;
  return status === 408 || status === 409 || status >= 500;
}

const FIRST_DELAY_MS = 200;
const MAX_DELAY_MS = 8_000;
const MAX_RETRY_AFTER_MS = 60_000;

/**
 * The delay after try number `attempt`, counted from 0. It doubles up to 8 s, less a random part of up
 * to half, so that many callers do not retry at the same moment. A server's `Retry-After` is the
 * minimum. `undefined` if that is over a minute: a caller should decide on such a wait itself.
 */
export function delayMs(
  attempt: number,
  retryAfter: number | undefined,
  random: () => number,
): number | undefined {
  if (retryAfter !== undefined && retryAfter > MAX_RETRY_AFTER_MS) return undefined;
  const full = Math.min(FIRST_DELAY_MS * 2 ** attempt, MAX_DELAY_MS);
  return Math.max(full * (1 - random() / 2), retryAfter ?? 0);
}

/** `Retry-After` (seconds or an HTTP date) as milliseconds after `now`. */
export function retryAfterMs(header: string | null, now: number): number | undefined {
  if (header === null || header.trim() === "") return undefined;
  const seconds = Number(header);
  if (Number.isFinite(seconds)) return Math.max(0, seconds * 1000);
  const date = Date.parse(header);
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}
