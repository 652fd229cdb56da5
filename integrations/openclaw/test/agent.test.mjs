// OpenClawAgent with the real engine. The gateway's answers are those of OpenClaw 2026.9.6.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import { after, before, test } from "node:test";

import { OpenClawAgent } from "../dist/agent.js";

import { Engine } from "../../../tests/support/engine.mjs";

let engine;
before(async () => {
  engine = await Engine.start();
});
after(() => engine.remove());

const mail = { to: "user@example.com", subject: "Hello" };

/** An initialized agent, and a list of the mails that its local tool sent. */
async function ready(options = {}) {
  const sent = [];
  const tools = {
    send_email: (args) => {
      sent.push(args);
      return { number: sent.length };
    },
  };
  const agent = new OpenClawAgent({ userId: randomUUID(), engineUrl: engine.url, tools, ...options });
  await agent.init();
  return { agent, sent };
}

/** A gateway that gives `answers` in turn; `requests` holds what it received. */
async function gateway(...answers) {
  const requests = [];
  const server = createServer(async (request, response) => {
    let text = "";
    for await (const part of request) text += part;
    requests.push({ ...JSON.parse(text), path: request.url, authorization: request.headers.authorization });
    const [status, body] = answers.shift();
    if (status === 0) return request.socket.resetAndDestroy();
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  after(() => server.close());
  return { requests, server, gatewayUrl: `http://127.0.0.1:${server.address().port}` };
}

test("a call takes effect once, and a repeat gets its result", async () => {
  const { agent, sent } = await ready();
  assert.deepEqual(await agent.execute("send_email", mail), { number: 1 });
  assert.deepEqual(await agent.execute("send_email", { subject: "Hello", to: "user@example.com" }), { number: 1 });
  assert.deepEqual(await agent.execute("send_email", mail, { idempotencyKey: "again" }), { number: 2 });
  assert.deepEqual(sent, [mail, mail]);
});

test("init resumes the active session and the pending goal; in a new goal the same call runs again", async () => {
  const userId = randomUUID();
  const first = await ready({ userId, goal: "write to the user" });
  assert.deepEqual(first.agent.standing.resumed, { session: false, goal: false });
  await first.agent.execute("send_email", mail);

  const second = await ready({ userId });
  assert.deepEqual(second.agent.standing, { ...first.agent.standing, resumed: { session: true, goal: true } });
  assert.deepEqual(await second.agent.execute("send_email", mail), { number: 1 });
  assert.deepEqual(second.sent, []);

  await second.agent.complete({ mails: 1 }, "write once more");
  await second.agent.execute("send_email", mail);
  assert.deepEqual(second.sent, [mail]);
  await second.agent.complete();
  await assert.rejects(second.agent.execute("send_email", mail), /init\(\) first/);
  const third = await ready({ userId });
  assert.deepEqual(third.agent.standing.resumed, { session: true, goal: false });
});

test("copies that start at the same time are one user", async () => {
  const userId = randomUUID();
  const copies = await Promise.all(Array.from({ length: 5 }, () => ready({ userId })));
  assert.equal(new Set(copies.map(({ agent }) => agent.standing.userId)).size, 1);
});

test("a local tool that throws leaves the call in doubt, unless the error says more", async () => {
  let runs = 0;
  const tools = {
    broken: () => {
      runs += 1;
      throw new Error("socket hang up");
    },
    refused: () => {
      runs += 1;
      throw Object.assign(new Error("no such address"), { toolRan: "no" });
    },
  };
  const { agent } = await ready({ tools });
  for (const _ of [1, 2]) await assert.rejects(agent.execute("broken"), { code: "IN_DOUBT", toolRan: "unknown" });
  assert.equal(runs, 1);
  for (const _ of [1, 2]) await assert.rejects(agent.execute("refused"), { code: "NOT_EXECUTED", toolRan: "no" });
  assert.equal(runs, 3);
});

test("other tools are called through the gateway, once", async () => {
  const result = { content: [{ type: "text", text: "sent" }], details: { id: 7 } };
  const { requests, gatewayUrl } = await gateway([200, { ok: true, result }]);
  const { agent } = await ready({ tools: {}, gatewayUrl, gatewayToken: "secret", sessionKey: "main" });
  for (const _ of [1, 2]) assert.deepEqual(await agent.execute("send_email", mail, { idempotencyKey: "k1" }), result);
  assert.deepEqual(requests, [
    {
      tool: "send_email",
      args: mail,
      sessionKey: "main",
      idempotencyKey: "ose:k1",
      path: "/tools/invoke",
      authorization: "Bearer secret",
    },
  ]);
});

test("an answer that proves that nothing ran lets the next call run", async () => {
  const refusals = [
    [400, { ok: false, error: { type: "invalid_request", message: "tools.invoke requires name" } }, /requires name/],
    [401, { error: { message: "Unauthorized", type: "unauthorized" } }, /OPENCLAW_GATEWAY_TOKEN/],
    [403, { ok: false, error: { type: "tool_call_blocked", message: "not now", requiresApproval: false } }, /not now/],
    [404, { ok: false, error: { type: "not_found", message: "Tool not available: send_email" } }, /deny list/],
    [429, { error: { message: "slow down" } }, /try later/],
  ];
  const { requests, gatewayUrl } = await gateway(...refusals, [200, { ok: true, result: "sent" }]);
  const { agent } = await ready({ tools: {}, gatewayUrl });
  for (const [, , message] of refusals) {
    await assert.rejects(agent.execute("send_email", mail), { code: "NOT_EXECUTED", toolRan: "no", message });
  }
  assert.equal(await agent.execute("send_email", mail), "sent");
  assert.equal(new Set(requests.map(({ idempotencyKey }) => idempotencyKey)).size, refusals.length + 1);
});

test("after a 500 or a broken connection the call is in doubt, and is not sent again", async () => {
  for (const answer of [[500, { type: "tool_error", message: "tool execution failed" }], [0]]) {
    const { requests, gatewayUrl } = await gateway(answer);
    const { agent } = await ready({ tools: {}, gatewayUrl });
    for (const _ of [1, 2]) await assert.rejects(agent.execute("send_email", mail), { code: "IN_DOUBT" });
    assert.equal(requests.length, 1);
  }
});

test("a call is not in doubt if the gateway does not run", async () => {
  const { server, gatewayUrl } = await gateway();
  server.close();
  await once(server, "close");
  const { agent } = await ready({ tools: {}, gatewayUrl });
  await assert.rejects(agent.execute("send_email", mail), { code: "NOT_EXECUTED", message: /is it running/ });
});
