// A network that loses a third of all requests and answers. Still no tool takes effect twice.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { after, before, test } from "node:test";

import { StateEngineClient } from "@openclaw/ts-client";

import { begin, Engine } from "./support.js";

let engine;
let flaky;
before(async () => {
  engine = await Engine.start();
  // The same losses in each run, except for the order in which calls arrive.
  let seed = 7;
  const chance = () => (seed = (seed * 48_271) % 2_147_483_647) / 2_147_483_647;
  flaky = createServer(async (request, response) => {
    const parts = [];
    for await (const part of request) parts.push(part);
    if (chance() < 1 / 6) return request.socket.resetAndDestroy();
    const headers = { "content-type": "application/json" };
    const answer = await fetch(engine.url, { method: "POST", headers, body: Buffer.concat(parts) });
    const text = await answer.text();
    if (chance() < 1 / 6) return request.socket.resetAndDestroy();
    response.writeHead(answer.status, headers).end(text);
  });
  flaky.listen(0, "127.0.0.1");
  await once(flaky, "listening");
});
after(async () => {
  flaky.closeAllConnections();
  flaky.close();
  await engine.remove();
});

test("a tool runs at most once, and each result that a caller gets is the recorded one", async () => {
  const { userId, sessionId, goalId, client } = await begin(engine);
  const over = new StateEngineClient({ url: `http://127.0.0.1:${flaky.address().port}`, maxRetries: 3 });
  const effects = new Map();
  const call = (input) =>
    over.runTool(
      { userId, sessionId, goalId, tool: "send", input },
      () => {
        effects.set(input, (effects.get(input) ?? 0) + 1);
        return { input };
      },
      // If all answers to a claim are lost, the call is soon in doubt.
      { leaseMs: 2_000 },
    );
  const inputs = Array.from({ length: 120 }, (_, at) => at % 40);
  const results = await Promise.allSettled(inputs.map(call));
  for (const [at, { status, value, reason }] of results.entries()) {
    if (status === "fulfilled") assert.deepEqual(value, { input: inputs[at] });
    else assert.ok(["CONNECTION", "IN_DOUBT"].includes(reason.code), String(reason));
  }
  assert.deepEqual([...effects.values()].filter((count) => count !== 1), []);
  const answered = results.filter(({ status }) => status === "fulfilled").length;
  assert.ok(answered > 100, `only ${answered} of 120 calls were answered: retries should help`);
  for (const { status, tool_input: input } of await client.listToolExecutions(goalId)) {
    if (status === "completed") assert.equal(effects.get(input), 1);
  }
});
