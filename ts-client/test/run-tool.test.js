import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { once } from "node:events";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

import {
  InDoubtError,
  InProgressError,
  NotExecutedError,
  StateEngineClient,
  ToolFailedError,
  UnrecordedError,
} from "@openclaw/ts-client";

import { begin, Engine, gate } from "./support.js";

let engine;
before(async () => {
  engine = await Engine.start();
});
after(() => engine.remove());

/** A client, and a call in its own scope. */
async function prepared(options) {
  const { client, userId, sessionId, goalId } = await begin(engine, options);
  const call = { userId, sessionId, goalId, tool: "send", input: { to: "ann" } };
  return { client, call };
}

test("racing callers run the tool once, and all get the recorded result", async () => {
  const { client, call } = await prepared();
  let runs = 0;
  const tool = () => {
    runs += 1;
    return { at: new Date(0), dropped: undefined };
  };
  const results = await Promise.all(Array.from({ length: 20 }, () => client.runTool(call, tool)));
  assert.equal(runs, 1);
  for (const result of results) assert.deepEqual(result, { at: "1970-01-01T00:00:00.000Z" });
  assert.deepEqual(await client.runTool(call, tool), results[0]);
  assert.equal(runs, 1);
});

test("the tool gets its execution, attempt and key", async () => {
  const { client, call } = await prepared();
  const context = await client.runTool({ ...call, key: "mail-7" }, ({ signal: _, ...context }) => context);
  const holder = await client.findByIdempotencyKey("mail-7", { userId: call.userId });
  assert.deepEqual(context, { executionId: holder.id, attempt: 1, key: "mail-7" });
});

test("an undefined result is null for all callers", async () => {
  const { client, call } = await prepared();
  assert.equal(await client.runTool(call, () => undefined), null);
  assert.equal(await client.runTool(call, () => 1), null);
});

test("a different input under the same key is refused", async () => {
  const { client, call } = await prepared();
  await client.runTool({ ...call, key: "k" }, () => 1);
  const other = client.runTool({ ...call, key: "k", input: { to: "bob" } }, () => assert.fail("it ran"));
  await assert.rejects(other, { code: "KEY_REUSE", toolRan: "no" });
});

test("a tool that throws leaves the call in doubt for all callers until it is settled", async () => {
  const { client, call } = await prepared();
  const broken = new Error("socket hang up");
  const first = await client.runTool(call, () => Promise.reject(broken)).catch((error) => error);
  assert.ok(first instanceof InDoubtError);
  assert.deepEqual([first.code, first.toolRan, first.retryable, first.cause], ["IN_DOUBT", "unknown", false, broken]);
  assert.match(first.message, /socket hang up/);
  const never = () => assert.fail("it ran again");
  await assert.rejects(client.runTool(call, never), { code: "IN_DOUBT", executionId: first.executionId });
  await client.resolveToolExecution(first.executionId, 1, "executed", "it is in the outbox", { output: "sent" });
  assert.equal(await client.runTool(call, never), "sent");
});

test("after a verdict that the call did not run, the next call runs it", async () => {
  const { client, call } = await prepared();
  const { executionId } = await client.runTool(call, () => Promise.reject(new Error("?"))).catch((error) => error);
  await client.resolveToolExecution(executionId, 1, "not_executed", "the outbox is empty");
  assert.equal(await client.runTool(call, ({ attempt }) => attempt), 2);
});

test("a tool can report that it had no effect, and the next call runs it", async () => {
  const { client, call } = await prepared();
  const refused = client.runTool(call, () => Promise.reject(new NotExecutedError("no such address")));
  await assert.rejects(refused, { name: "NotExecutedError", message: "no such address", toolRan: "no", retryable: true });
  assert.equal(await client.runTool(call, ({ attempt }) => attempt), 2);
});

test("a tool can report that it ran and failed, and all callers get that failure", async () => {
  const { client, call } = await prepared();
  const failed = { name: "ToolFailedError", message: "over quota", toolRan: "yes", retryable: false };
  await assert.rejects(client.runTool(call, () => Promise.reject(new ToolFailedError("over quota"))), failed);
  await assert.rejects(client.runTool(call, () => assert.fail("it ran again")), failed);
});

test("an error of a guarded call inside the tool says nothing about the tool itself", async () => {
  const { client, call } = await prepared();
  const inner = () => client.runTool({ ...call, input: 2 }, () => Promise.reject(new NotExecutedError("refused")));
  const outer = await client.runTool(call, inner).catch((error) => error);
  assert.deepEqual([outer.code, outer.cause.code], ["IN_DOUBT", "NOT_EXECUTED"]);
});

test("classify decides what other errors mean", async () => {
  const { client, call } = await prepared();
  const refused = Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" });
  const classify = (error) => (error.code === "ECONNREFUSED" ? "not_executed" : "unknown");
  await assert.rejects(client.runTool(call, () => Promise.reject(refused), { classify }), { code: "NOT_EXECUTED" });
  assert.equal(await client.runTool(call, () => "sent", { classify }), "sent");
});

test("a result that cannot be recorded is a failure that took effect", async () => {
  for (const result of [1n, () => {}, "x".repeat(11 * 1024 * 1024)]) {
    const { client, call } = await prepared();
    await assert.rejects(client.runTool(call, () => result), { code: "TOOL_FAILED", toolRan: "yes", message: /cannot be recorded/ });
    await assert.rejects(client.runTool(call, () => 1), { code: "TOOL_FAILED" });
  }
});

test("a duplicate waits no longer than waitMs", async () => {
  const { client, call } = await prepared();
  const { opened, open } = gate();
  const running = gate();
  const first = client.runTool(call, async () => {
    running.open();
    await opened;
    return "late";
  });
  await running.opened;
  await assert.rejects(client.runTool(call, () => 1, { waitMs: 1 }), InProgressError);
  // That the wait failed says nothing about the tool.
  const lost = Object.assign(new Error("lost"), { toolRan: "no" });
  client.awaitToolExecution = () => Promise.reject(lost);
  await assert.rejects(client.runTool(call, () => 1), { code: "IN_PROGRESS", toolRan: "unknown", cause: lost });
  delete client.awaitToolExecution;
  const second = client.runTool(call, () => 1);
  open();
  assert.deepEqual(await Promise.all([first, second]), ["late", "late"]);
});

test("an abort before the tool runs releases the claim", async () => {
  const { client, call } = await prepared();
  const never = () => assert.fail("it ran");
  await assert.rejects(client.runTool(call, never, { signal: AbortSignal.abort() }), { code: "ABORTED", toolRan: "no" });
  const stop = new AbortController();
  const claims = async (...args) => {
    const response = await fetch(...args);
    stop.abort();
    return response;
  };
  const during = new StateEngineClient({ url: engine.url, fetch: claims });
  await assert.rejects(during.runTool(call, never, { signal: stop.signal }), { code: "ABORTED", toolRan: "no" });
  assert.equal(await client.runTool(call, ({ attempt }) => attempt), 2);
});

test("a running tool gets the abort, and its outcome is recorded", async () => {
  const { client, call } = await prepared();
  const stop = new AbortController();
  const result = await client.runTool(
    call,
    async ({ signal }) => {
      const stopped = once(signal, "abort");
      stop.abort("enough");
      await stopped;
      return signal.reason;
    },
    { signal: stop.signal },
  );
  assert.equal(result, "enough");
  assert.equal(await client.runTool(call, () => 1), "enough");
});

test("heartbeats extend a lease that is shorter than the tool runs", async () => {
  let heartbeats = 0;
  const enough = gate();
  const counting = (url, init) => {
    if (init.body.includes('"extend_lease"') && ++heartbeats === 4) enough.open();
    return fetch(url, init);
  };
  // After four heartbeats, a third of a lease apart, the first lease would have expired.
  const { client, call } = await prepared({ fetch: counting });
  const result = await client.runTool(call, () => enough.opened.then(() => "done"), { leaseMs: 1_000 });
  assert.equal(result, "done");
  const [execution] = await client.listToolExecutions(call.goalId);
  const kinds = (await client.listEvents({ executionId: execution.id })).map(({ kind }) => kind);
  assert.ok(!kinds.includes("lost"), kinds.join());
  assert.equal(kinds.at(-1), "finished");
});

test("if the engine is killed while the tool runs, the outcome is recorded after its restart", async () => {
  const own = await Engine.start();
  try {
    const { client, userId, sessionId, goalId } = await begin(own);
    const call = { userId, sessionId, goalId, tool: "send", input: 1 };
    const result = client.runTool(call, async () => {
      await own.kill();
      setImmediate(() => void own.restart());
      return "sent";
    });
    assert.equal(await result, "sent");
    assert.equal(await client.runTool(call, () => assert.fail("it ran again")), "sent");
  } finally {
    await own.remove();
  }
});

/** A client whose reports of outcomes are lost while the gate is shut. */
async function unreachable(options) {
  const shut = { reports: 0, open: false };
  const fetching = (url, init) => {
    if (!init.body.includes('"finish_tool_execution"') || shut.open) return fetch(url, init);
    shut.reports += 1;
    const cause = Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" });
    return Promise.reject(new TypeError("fetch failed", { cause }));
  };
  return { shut, ...(await prepared({ fetch: fetching, ...options })) };
}

test("a known outcome is reported until the engine answers", async () => {
  const { client, call, shut } = await unreachable();
  const result = client.runTool(call, () => "sent");
  while (shut.reports < 4) await new Promise((resolve) => setTimeout(resolve, 20));
  shut.open = true;
  assert.equal(await result, "sent");
  assert.equal(await client.runTool(call, () => assert.fail("it ran again")), "sent");
});

test("an outcome that cannot be recorded in time is in the error", async () => {
  const table = [
    [() => ({ id: "m-1" }), "yes", "executed", /send ran and returned \{"id":"m-1"\}.*--ran/],
    [() => Promise.reject(new ToolFailedError("no such address")), "yes", "executed", /send ran and ended with: no such address/],
    [() => Promise.reject(new NotExecutedError("refused")), "no", "not_executed", /send did not run and ended with: refused.*--did-not-run/],
    [() => Promise.reject(new Error("reset")), "unknown", "unknown", /send may have run and ended with: reset/],
    [() => "x".repeat(2_000), "yes", "executed", /x{100}…/],
  ];
  for (const [tool, toolRan, outcome, message] of table) {
    const { client, call, shut } = await unreachable();
    const error = await client.runTool(call, tool, { recordMs: 300 }).catch((error) => error);
    assert.ok(error instanceof UnrecordedError && error instanceof InDoubtError, String(error));
    assert.deepEqual([error.code, error.toolRan, error.outcome, error.retryable], ["IN_DOUBT", toolRan, outcome, false]);
    assert.match(error.message, message);
    assert.ok(shut.reports > 1);
    if (outcome === "executed" && error.error === undefined) assert.deepEqual(error.output, await tool());
  }
});

test("after an abort the caller learns the outcome, and the recording goes on", { timeout: 60_000 }, async () => {
  const { client, call, shut } = await unreachable();
  const stop = new AbortController();
  const running = client.runTool(call, () => (stop.abort(), "sent"), { signal: stop.signal });
  const error = await running.catch((error) => error);
  assert.ok(error instanceof UnrecordedError, String(error));
  assert.deepEqual([error.output, error.cause.code], ["sent", "ABORTED"]);
  shut.open = true;
  assert.equal(await client.runTool(call, () => assert.fail("it ran again")), "sent");
});

test("callers in several processes run the tool once; if one dies in the tool, the call is in doubt", async () => {
  const { client, call } = await prepared();
  const program = fileURLToPath(new URL("./programs/one-call.js", import.meta.url));
  const start = (input) => {
    const work = { url: engine.url, call: { ...call, input }, options: { leaseMs: 1_000 } };
    return fork(program, [JSON.stringify(work)], { stdio: ["ignore", "ignore", "ignore", "ipc"] });
  };
  const message = async (child) => (await once(child, "message"))[0];

  const racing = [1, 2, 3].map(() => start("race"));
  const [winner] = await Promise.race(racing.map(async (child) => [child, await message(child)]));
  const results = racing.map(message);
  winner.send("go on");
  for (const { result, ran } of await Promise.all(results)) {
    assert.deepEqual([result, ran], [{ by: winner.pid }, undefined]);
  }

  const doomed = start("death");
  assert.equal((await message(doomed)).ran, doomed.pid);
  doomed.kill("SIGKILL");
  // The wait ends when the dead process's lease expires.
  await assert.rejects(
    client.runTool({ ...call, input: "death" }, () => assert.fail("it ran again")),
    { code: "IN_DOUBT", toolRan: "unknown" },
  );
});

test("a blank key is refused before anything is sent, in the engine's words", async () => {
  const { client, call } = await prepared();
  const words = /^idempotency_key must not be blank: leave it out, or send 1 to 255 characters/;
  for (const key of ["", " ", "\t\n", "\u00a0", "\u200b\ufeff"]) {
    await assert.rejects(
      client.runTool({ ...call, key }, () => assert.fail("it ran")),
      (error) => error instanceof TypeError && words.test(error.message),
      JSON.stringify(key),
    );
  }
  assert.deepEqual(await client.listSessionExecutions(call.sessionId), []);
  assert.equal(await client.runTool({ ...call, key: " k " }, () => 1), 1);
});
