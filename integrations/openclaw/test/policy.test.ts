import assert from "node:assert/strict";
import { test } from "node:test";
import { canonical, digest, masked } from "../src/canonical.ts";
import { Guard } from "../src/guard.ts";
import { invokedCall, recordedByCaller } from "../src/invoked.ts";
import { type Policy, policyOf } from "../src/policy.ts";
import { storedResult, textOf } from "../src/results.ts";

test("the default policy follows from a tool's name", () => {
  const table: [string, Policy][] = [
    ["send_email", "run"],
    ["outbox__send_mail", "run"],
    ["github__create_issue", "run"],
    ["github__list_issues", "record"],
    ["getWeather", "record"],
    ["getaway_book", "run"],
    ["read", "record"],
    ["exec", "crash"],
    ["apply_patch", "crash"],
    ["toString", "run"],
  ];
  for (const [tool, policy] of table) assert.equal(policyOf(tool, {}, {}), policy, tool);
  assert.equal(policyOf("message", { action: "read" }, {}), "record");
  assert.equal(policyOf("message", { action: "send" }, {}), "run");
});

test("the operator's longest matching pattern decides", () => {
  const configured = { "*": "record", "pay*": "session", "pay_test": "ignore", "a.b": "crash" } as const;
  const table: [string, Policy][] = [
    ["pay_now", "session"],
    ["pay_test", "ignore"],
    ["send_email", "record"],
    ["a.b", "crash"],
    ["axb", "record"],
  ];
  for (const [tool, policy] of table) assert.equal(policyOf(tool, {}, configured), policy, tool);
});

test("equal values have the same text, and different parts different digests", () => {
  assert.equal(canonical({ b: [1, { d: null, c: "x" }], a: undefined }), '{"b":[1,{"c":"x","d":null}]}');
  assert.notEqual(digest("a", "bc"), digest("ab", "c"));
});

test("members whose names look like a secret's are masked at any depth", () => {
  const input = { env: { API_KEY: "k", PATH: "/bin" }, list: [{ password: 7 }], tokens: 3 };
  const expected = { env: { API_KEY: "[masked]", PATH: "/bin" }, list: [{ password: "[masked]" }], tokens: 3 };
  assert.deepEqual(masked(input), expected);
});

test("calls by /tools/invoke and tools.invoke are recognized by their ids", () => {
  assert.deepEqual(invokedCall("http-direct-operator-order-1"), { key: "order-1" });
  assert.deepEqual(invokedCall("rpc-direct-operator-order-1"), { key: "order-1" });
  assert.deepEqual(invokedCall("http-direct-operator-1763850000000"), { key: undefined });
  assert.equal(invokedCall("call_1"), undefined);
  assert.equal(invokedCall(undefined), undefined);
  assert.ok(recordedByCaller({ key: "ose:1" }));
});

test("a long result is truncated at a character, and an image is named but not stored", () => {
  const long = storedResult({ content: [{ type: "text", text: "é".repeat(200_000) }, { type: "image", data: "…" }] }, false);
  assert.equal(long.truncated, true);
  assert.equal(long.content[0]?.text?.length, 131_072);
  assert.ok(textOf(long).endsWith("(image: not stored)\n(truncated for the record)"));
});

test("a call whose parameters JSON cannot carry is held back, and a read runs unrecorded", async () => {
  const warnings: string[] = [];
  const log = { info: () => {}, warn: (text: string) => void warnings.push(text), error: () => {}, debug: () => {} };
  // Nothing listens there: the call is refused before the engine is asked.
  const config = { engineUrl: "http://127.0.0.1:9", token: undefined, onEngineDown: "allow", tools: {} } as const;
  const guard = new Guard(config, log as never);
  const context = { agentId: "main", sessionKey: "s" } as never;
  for (const [n, value] of [new Map(), new Set(), new FormData(), 1n, () => 1, Number.NaN, new (class Mail {})()].entries()) {
    const event = (toolName: string) => ({ toolName, params: { value }, toolCallId: `c${n}` }) as never;
    const held = await guard.before(event("send_email"), context);
    assert.match(held?.blockReason ?? "", /NOT run, and nothing was changed: params\["value"\] is .*JSON cannot carry/);
    assert.equal(await guard.before(event("read"), context), undefined);
  }
  assert.equal(warnings.length, 14);
});
