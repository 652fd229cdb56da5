import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";

import { delayMs, mayRetry, retryAfterMs } from "../dist/retry.js";

const failure = fc.record(
  {
    unsent: fc.boolean(),
    status: fc.integer({ min: 200, max: 599 }),
    code: fc.constantFrom("BUSY", "BODY_STALLED", "NOT_FOUND", "CONFLICT", "INTERNAL", "STALE"),
    shouldRetry: fc.constantFrom("true", "false", null),
  },
  { requiredKeys: ["unsent"] },
);

test("x-should-retry: false rules out every retry", () => {
  fc.assert(
    fc.property(fc.boolean(), failure, (repeatable, failed) => {
      assert.equal(mayRetry(repeatable, { ...failed, shouldRetry: "false" }), false);
    }),
  );
});

test("a call that is not repeatable is sent again only if nothing was done", () => {
  fc.assert(
    fc.property(failure, (failed) => {
      if (!mayRetry(false, failed)) return;
      assert.ok(failed.unsent || failed.status === 429 || ["BUSY", "BODY_STALLED"].includes(failed.code));
    }),
  );
  assert.equal(mayRetry(false, { unsent: true }), true);
  assert.equal(mayRetry(false, { unsent: false }), false);
  assert.equal(mayRetry(false, { unsent: false, status: 503 }), false);
  assert.equal(mayRetry(false, { unsent: false, status: 200, code: "BUSY" }), true);
});

test("a repeatable call is sent again only after a lost answer or a transient fault", () => {
  assert.equal(mayRetry(true, { unsent: false }), true);
  for (const status of [408, 409, 429, 500, 502, 503, 504]) assert.equal(mayRetry(true, { unsent: false, status }), true);
  for (const status of [200, 400, 401, 403, 404, 413, 415, 421]) assert.equal(mayRetry(true, { unsent: false, status }), false);
  assert.equal(mayRetry(true, { unsent: false, status: 400, shouldRetry: "true" }), true);
  assert.equal(mayRetry(true, { unsent: false, status: 200, code: "CONFLICT" }), false);
});

test("delays double up to a limit, and vary at random", () => {
  fc.assert(
    fc.property(fc.nat(60), fc.double({ min: 0, max: 0.999, noNaN: true }), (attempt, chance) => {
      const delay = delayMs(attempt, undefined, () => chance);
      const full = Math.min(200 * 2 ** attempt, 8_000);
      assert.ok(delay > full / 2 - 1 && delay <= full, `${delay} of ${full}`);
    }),
  );
});

test("Retry-After is the shortest delay, and over a minute rules out a retry", () => {
  fc.assert(
    fc.property(fc.nat(9), fc.nat(60_000), (attempt, after) => {
      assert.ok(delayMs(attempt, after, Math.random) >= after);
    }),
  );
  assert.equal(delayMs(0, 60_001, Math.random), undefined);
});

test("Retry-After is read as seconds or as a date", () => {
  const now = Date.parse("2026-01-01T00:00:00Z");
  assert.equal(retryAfterMs("3", now), 3_000);
  assert.equal(retryAfterMs("0.5", now), 500);
  assert.equal(retryAfterMs("Thu, 01 Jan 2026 00:00:10 GMT", now), 10_000);
  assert.equal(retryAfterMs("Wed, 31 Dec 2025 00:00:00 GMT", now), 0);
  for (const unusable of [null, "", "soon"]) assert.equal(retryAfterMs(unusable, now), undefined);
});
