/** What is known of an attempt that failed. */
export interface Failure {
  /** Not one byte of it reached the engine. */
  unsent: boolean;
  /** The HTTP status, where an answer came. */
  status?: number;
  /** The engine's error code, where it told one. */
  code?: string;
  /** The header `x-should-retry`: the server's word is the last. */
  shouldRetry?: string | null;
}

/** Codes of the engine that say: nothing was changed, try again. */
const REFUSED = new Set(["BUSY", "BODY_STALLED"]);

/**
 * Whether a call may be sent again. One that is not `repeatable` (it would create a second thing, or
 * overwrite what another wrote since) is sent again only where it certainly was not carried out.
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

const FIRST_MS = 200;
const MOST_MS = 8_000;
const PATIENCE_MS = 60_000;

/**
 * How long to wait before try number `attempt` + 1, from 0: doubled each time to at most 8 s, less up
 * to a half by chance, so that many callers do not come back at once. A server's `Retry-After` is the
 * least; `undefined` where it asks for more than a minute, which no caller should sit out unasked.
 */
export function delayMs(
  attempt: number,
  retryAfter: number | undefined,
  random: () => number,
): number | undefined {
  if (retryAfter !== undefined && retryAfter > PATIENCE_MS) return undefined;
  const whole = Math.min(FIRST_MS * 2 ** attempt, MOST_MS);
  return Math.max(whole * (1 - random() / 2), retryAfter ?? 0);
}

/** `Retry-After` in milliseconds from `now`: seconds, or an HTTP date. */
export function retryAfterMs(header: string | null, now: number): number | undefined {
  if (header === null || header.trim() === "") return undefined;
  const seconds = Number(header);
  if (Number.isFinite(seconds)) return Math.max(0, seconds * 1000);
  const date = Date.parse(header);
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}
