import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, test } from "node:test";

import { StateEngineClient } from "@openclaw/ts-client";

import { begin, Engine } from "./support.js";

let engine;
before(async () => {
  engine = await Engine.start();
});
after(() => engine.remove());

test("every method of the engine has a method of the client", async () => {
  const { client } = await begin(engine);
  const { methods } = await client.discover();
  const camel = (name) => name.replace(/^rpc\./, "").replace(/_(.)/g, (_, letter) => letter.toUpperCase());
  for (const { name } of methods) {
    assert.equal(typeof StateEngineClient.prototype[camel(name)], "function", name);
  }
});

test("users, sessions and goals", async () => {
  const { client } = await begin(engine);
  const name = randomUUID();
  const user = await client.createUser(name, "Ann", "ann@example.com");
  assert.deepEqual([user.username, user.display_name, user.email], [name, "Ann", "ann@example.com"]);
  assert.deepEqual(await client.getUser(user.id), user);
  assert.deepEqual(await client.findUser(name), user);
  assert.equal(await client.findUser(randomUUID()), null);
  await assert.rejects(client.createUser(name), { code: "CONFLICT", toolRan: "no" });

  assert.equal(await client.getActiveSession(user.id), null);
  const session = await client.createSession(user.id, null, { name: "nightly" });
  assert.deepEqual(session.metadata, { name: "nightly" });
  assert.equal((await client.getActiveSession(user.id)).id, session.id);
  assert.deepEqual((await client.listSessions(user.id)).map(({ id }) => id), [session.id]);
  assert.ok((await client.listSessions()).some(({ id }) => id === session.id));
  assert.equal(await client.updateSession({ ...session, status: "completed", context: { step: 3 } }), null);
  const ended = await client.getSession(session.id);
  assert.deepEqual([ended.status, ended.context], ["completed", { step: 3 }]);

  const other = await client.createSession(user.id);
  const goal = await client.createGoal(user.id, other.id, "write", "a letter");
  assert.deepEqual([goal.title, goal.description, goal.status], ["write", "a letter", "pending"]);
  assert.deepEqual((await client.listPendingGoals(other.id)).map(({ id }) => id), [goal.id]);
  await client.updateGoal({ ...goal, status: "completed", result: [1] }, { ifUpdatedAt: goal.updated_at });
  await assert.rejects(client.updateGoal(goal, { ifUpdatedAt: goal.updated_at }), { code: "CONFLICT" });
  assert.deepEqual(await client.listPendingGoals(other.id), []);
  assert.deepEqual((await client.listGoals(other.id)).map(({ result }) => result), [[1]]);
  assert.equal((await client.getGoal(goal.id)).status, "completed");
});

test("tool executions as in v0.1", async () => {
  const { client, userId, sessionId, goalId } = await begin(engine);
  const plain = await client.createToolExecution(userId, sessionId, goalId, "look", { q: 1 });
  assert.deepEqual([plain.status, plain.idempotency_key], ["pending", null]);
  const key = randomUUID();
  const first = await client.executeToolIdempotent(userId, sessionId, goalId, "send", { to: "ann" }, key);
  const again = await client.executeToolIdempotent(userId, sessionId, goalId, "send", { to: "ann" }, key);
  assert.deepEqual([first.duplicate, again.duplicate, again.id], [false, true, first.id]);
  await client.updateToolExecution({ ...first, status: "running" });
  await client.updateToolExecution({ ...first, status: "completed", output: { sent: true } });
  await assert.rejects(client.updateToolExecution({ ...first, status: "pending" }), { code: "ILLEGAL_TRANSITION" });
  assert.deepEqual((await client.getToolExecution(first.id)).output, { sent: true });
  assert.equal((await client.findByIdempotencyKey(key)).id, first.id);
  assert.equal((await client.findByIdempotencyKey(key, { userId })).id, first.id);
  assert.equal(await client.findByIdempotencyKey(randomUUID()), null);
  assert.deepEqual((await client.listToolExecutions(goalId)).map(({ id }) => id), [plain.id, first.id]);
});

test("leases, verdicts and lists", async () => {
  const { client, userId, sessionId, goalId } = await begin(engine);
  const execute = (key, options) =>
    client.executeToolIdempotent(userId, sessionId, goalId, "send", 1, key, { lease: true, ...options });
  const held = await execute("a");
  assert.equal(held.claim, "execute");
  assert.equal((await client.extendLease(held.lease, 5_000)).status, "running");
  const busy = await execute("a", { waitMs: 1 });
  assert.deepEqual([busy.claim, busy.reason], ["busy", "leased"]);
  assert.equal((await client.awaitToolExecution(held.id, 0)).status, "running");
  const done = await client.finishToolExecution(held.lease, "executed", { output: "ok" });
  assert.deepEqual([done.status, done.output], ["completed", "ok"]);
  await assert.rejects(client.extendLease(held.lease), { code: "LEASE_LOST" });

  const doubtful = await execute("b");
  await client.finishToolExecution(doubtful.lease, "unknown", { error: "the line broke" });
  assert.equal((await execute("b")).claim, "in_doubt");
  const settled = await client.resolveToolExecution(doubtful.id, 1, "executed", "seen in the outbox", { output: 7 });
  assert.deepEqual([settled.status, settled.output], ["completed", 7]);
  await assert.rejects(client.resolveToolExecution(doubtful.id, 1, "not_executed", "no"), { code: "STALE" });

  const [first, second] = await client.listSessionExecutions(sessionId);
  assert.deepEqual([first.id, second.id], [held.id, doubtful.id]);
  assert.deepEqual((await client.listSessionExecutions(sessionId, { after: first.id, limit: 5 })).length, 1);
  const page = await client.listExecutions({ userId, status: "completed", toolName: "send", limit: 1 });
  assert.deepEqual(page.items.map(({ id }) => id), [doubtful.id]);
  const rest = await client.listExecutions({ userId, status: "completed", toolName: "send", limit: 1, cursor: page.next });
  assert.deepEqual(rest.items.map(({ id }) => id), [held.id]);
  const kinds = (await client.listEvents({ executionId: doubtful.id })).map(({ kind }) => kind);
  assert.deepEqual(kinds, ["claimed", "finished", "verdict"]);
  assert.ok((await client.getStats()).executions.completed >= 2);
});

test("memories and channels", async () => {
  const { client, userId } = await begin(engine);
  const memory = await client.createMemory(userId, "likes tea", "high", ["taste"]);
  assert.deepEqual([memory.importance, memory.tags, memory.memory_type], ["high", ["taste"], "short_term"]);
  await client.updateMemory({ ...memory, memory_type: "long_term", embedding: [0.5, 1] });
  assert.deepEqual((await client.getMemory(memory.id)).embedding, [0.5, 1]);
  await client.createMemory(userId, "likes cake");
  assert.deepEqual((await client.listMemories(userId, 1)).map(({ content }) => content), ["likes cake"]);

  const channel = await client.createChannel(userId, "email", "work", "ann@example.com");
  await client.updateChannel({ ...channel, status: "paused" });
  assert.equal((await client.getChannel(channel.id)).status, "paused");
  assert.deepEqual((await client.listChannels(userId)).map(({ id }) => id), [channel.id]);
});

test("a client with the engine's token, and one without", async () => {
  const guarded = await Engine.start("--token", "a-token-of-some-length");
  try {
    const client = new StateEngineClient({ url: guarded.url, token: "a-token-of-some-length" });
    assert.equal((await client.getStats()).users >= 0, true);
    await assert.rejects(new StateEngineClient({ url: guarded.url }).getStats(), { code: "UNAUTHORIZED", toolRan: "no" });
  } finally {
    await guarded.remove();
  }
});
