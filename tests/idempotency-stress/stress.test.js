// Tests an engine that this suite starts, or the running engine that STATE_ENGINE_URL names.
import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

import { StateEngineClient } from "@openclaw/ts-client";

import { Engine } from "../support/engine.mjs";

const existingUrl = process.env.STATE_ENGINE_URL;
const killsEngine = existingUrl ? { skip: "this test does not kill the engine of STATE_ENGINE_URL" } : {};

let engine;
let client;
let userId;
let sessionId;
let goalId;
before(async () => {
  engine = existingUrl ? undefined : await Engine.start();
  client = new StateEngineClient({ url: existingUrl ?? engine.url });
  userId = (await client.createUser(`stress-${randomUUID()}`)).id;
  sessionId = (await client.createSession(userId)).id;
  goalId = (await client.createGoal(userId, sessionId, "stress")).id;
});
after(() => engine?.remove());

const execute = (input, key) => client.executeToolIdempotent(userId, sessionId, goalId, "send_email", input, key);
const distinct = (items) => [...new Set(items)];

test("100 concurrent calls with one key are one execution", async () => {
  const key = randomUUID();
  const calls = await Promise.all(Array.from({ length: 100 }, () => execute({ to: "ann" }, key)));
  assert.equal(distinct(calls.map(({ id }) => id)).length, 1);
  assert.equal(calls.filter(({ duplicate }) => !duplicate).length, 1);
});

test("100 concurrent calls without a key are one execution", async () => {
  const input = { to: "ann", nonce: randomUUID() };
  const calls = await Promise.all(Array.from({ length: 100 }, () => execute(input)));
  assert.equal(distinct(calls.map(({ id }) => id)).length, 1);
});

test("10 keys with 10 callers each are 10 executions", async () => {
  const keys = Array.from({ length: 10 }, () => randomUUID());
  const calls = await Promise.all(Array.from({ length: 100 }, (_, at) => execute({}, keys[at % 10])));
  const ids = keys.map((_, at) => distinct(calls.filter((_, call) => call % 10 === at).map(({ id }) => id)));
  assert.deepEqual(ids.map((found) => found.length), Array(10).fill(1));
  assert.equal(distinct(ids.flat()).length, 10);
});

test("after kill -9 and a restart, every key still names its execution", killsEngine, async () => {
  const keys = Array.from({ length: 10 }, () => randomUUID());
  const first = await Promise.all(keys.map((key) => execute({ key }, key)));
  await client.updateToolExecution({ ...first[0], status: "completed", output: { sent: 1 } });
  await engine.kill();
  await engine.restart();
  const again = await Promise.all(keys.map((key) => execute({ key }, key)));
  assert.deepEqual(again.map(({ id }) => id), first.map(({ id }) => id));
  assert.ok(again.every(({ duplicate }) => duplicate));
  assert.deepEqual([again[0].status, again[0].output], ["completed", { sent: 1 }]);
});

/** Makes `callers` calls with one key, spread over `processes`. `during` runs while the tool runs. */
async function race(processes, callers, during) {
  const call = { userId, sessionId, goalId, tool: "send_email", input: { to: "all" }, key: randomUUID() };
  const program = fileURLToPath(new URL("./racer.js", import.meta.url));
  const work = { url: existingUrl ?? engine.url, call, callers: callers / processes };
  const racers = Array.from({ length: processes }, () => fork(program, [JSON.stringify(work)]));
  await Promise.all(racers.map((racer) => once(racer, "message")));
  let effects = 0;
  const results = racers.map(async (racer) => {
    racer.send("go");
    for (;;) {
      const [message] = await Promise.race([once(racer, "message"), once(racer, "exit").then(([code]) => [{ code }])]);
      if (message.results) return message.results;
      assert.equal(message, "effect", `a racer ended with ${JSON.stringify(message)}`);
      effects += 1;
      await during();
      racer.send("go on");
    }
  });
  try {
    const all = (await Promise.all(results)).flat();
    return { effects, results: all };
  } finally {
    for (const racer of racers) racer.kill();
  }
}

test("1,000 racing runTool callers in 8 processes have one effect and one result", async () => {
  const { effects, results } = await race(8, 1_000, () => {});
  assert.equal(effects, 1);
  assert.equal(results.length, 1_000);
  assert.equal(distinct(results.map(({ by }) => by)).length, 1);
});

test("200 racing callers have one effect if the engine is killed during the effect", killsEngine, async () => {
  const { effects, results } = await race(4, 200, async () => {
    await engine.kill();
    await engine.restart();
  });
  assert.equal(effects, 1);
  assert.equal(results.length, 200);
  assert.equal(distinct(results.map(({ by }) => by)).length, 1);
});
