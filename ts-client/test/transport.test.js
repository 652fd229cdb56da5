import assert from "node:assert/strict";
import { createServer } from "node:net";
import { once } from "node:events";
import { test } from "node:test";

import { ConnectionError, isStateEngineError, RpcError, StateEngineClient } from "@openclaw/ts-client";

import { scripted } from "./support.js";

const reset = (request) => request.socket.resetAndDestroy();
const busy = { error: { code: -32016, message: "the queue is full", data: { code: "BUSY" } } };

async function withServer(script, work) {
  const server = await scripted(script);
  try {
    await work(server, new StateEngineClient({ url: server.url }));
    assert.equal(server.left.length, 0, "the server has not used its whole script");
  } finally {
    server.close();
  }
}

test("a read whose answer was lost is sent again", () =>
  withServer([reset, { result: { users: 1 } }], async (server, client) => {
    assert.deepEqual(await client.getStats(), { users: 1 });
    assert.equal(server.seen.length, 2);
  }));

test("a create whose answer was lost is not sent again, and its effect is unknown", () =>
  withServer([reset], async (server, client) => {
    await assert.rejects(client.createUser("ann"), (error) => {
      assert.ok(error instanceof ConnectionError && isStateEngineError(error));
      assert.deepEqual([error.code, error.toolRan, error.retryable], ["CONNECTION", "unknown", false]);
      return true;
    });
    assert.equal(server.seen.length, 1);
  }));

test("a call that was refused without a change is sent again, even a create", () =>
  withServer([busy, { result: { id: "u" } }], async (_server, client) => {
    assert.equal((await client.createUser("ann")).id, "u");
  }));

test("every try of a claim carries the same claim_id", () =>
  withServer([reset, { status: 502, text: "bad gateway" }, { result: { claim: "execute" } }], async (server, client) => {
    await client.executeToolIdempotent("u", "s", "g", "t", {}, "k", { lease: true });
    const ids = server.seen.map(({ params }) => params.claim_id);
    assert.equal(new Set(ids).size, 1);
    assert.match(ids[0], /^[0-9a-f-]{36}$/);
  }));

test("x-should-retry: false ends the call at once", () =>
  withServer([{ status: 503, headers: { "x-should-retry": "false" }, text: "" }], async (_server, client) => {
    await assert.rejects(client.getStats(), { code: "BAD_ANSWER", status: 503 });
  }));

test("x-should-retry: true allows a retry after a status that otherwise ends the call", () =>
  withServer([{ status: 400, headers: { "x-should-retry": "true" }, text: "" }, { result: 1 }], async (_server, client) => {
    assert.equal(await client.getStats(), 1);
  }));

test("a Retry-After of more than a minute ends the call at once", () =>
  withServer([{ status: 503, headers: { "retry-after": "61" }, text: "" }], async (_server, client) => {
    await assert.rejects(client.getStats(), { status: 503 });
  }));

test("maxRetries of the call overrides the client's", () =>
  withServer([reset], async (server, _client) => {
    const client = new StateEngineClient({ url: server.url, maxRetries: 5 });
    await assert.rejects(client.getStats({ maxRetries: 0 }), { code: "CONNECTION", retryable: true });
  }));

test("a try that takes too long ends with TIMEOUT", () =>
  withServer([() => {}], async (_server, client) => {
    await assert.rejects(client.getStats({ timeout: 1_000, maxRetries: 0 }), { code: "TIMEOUT", toolRan: "unknown" });
  }));

test("the caller's signal ends a call before it is sent, with the signal's reason", () =>
  withServer([], async (_server, client) => {
    const reason = new Error("enough");
    await assert.rejects(client.getStats({ signal: AbortSignal.abort(reason) }), { code: "ABORTED", toolRan: "no", cause: reason });
  }));

test("the caller's signal ends a call that is running", async () => {
  const stop = new AbortController();
  await withServer([() => stop.abort()], async (_server, client) => {
    await assert.rejects(client.getStats({ signal: stop.signal }), { code: "ABORTED", toolRan: "unknown" });
  });
});

test("the caller's signal ends the delay before a retry", async () => {
  const stop = new AbortController();
  const headers = { "retry-after": "50" };
  const refuse = (_request, response) => {
    response.on("finish", () => setImmediate(() => stop.abort()));
    response.writeHead(503, headers).end();
  };
  await withServer([refuse], async (_server, client) => {
    await assert.rejects(client.getStats({ signal: stop.signal }), { code: "ABORTED" });
  });
});

test("if nothing listens, nothing was sent, and even a create is tried again", async () => {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address();
  probe.close();
  let tries = 0;
  const counting = (...args) => {
    tries += 1;
    return fetch(...args);
  };
  const client = new StateEngineClient({ url: `http://127.0.0.1:${port}`, fetch: counting, maxRetries: 1 });
  await assert.rejects(client.createUser("ann"), { code: "CONNECTION", toolRan: "no", retryable: true });
  assert.equal(tries, 2);
});

test("an engine's error carries its code, number and data", () =>
  withServer(
    [{ error: { code: -32002, message: "no goal g", data: { code: "NOT_FOUND", what: "goal", id: "g" } } }],
    async (_server, client) => {
      await assert.rejects(client.getGoal("g"), (error) => {
        assert.ok(error instanceof RpcError);
        assert.deepEqual([error.code, error.number, error.toolRan, error.data.what], ["NOT_FOUND", -32002, "no", "goal"]);
        return true;
      });
    },
  ));

test("an answer that is not JSON-RPC is a BAD_ANSWER", () =>
  withServer([{ text: "<html>" }], async (_server, client) => {
    await assert.rejects(client.getStats({ maxRetries: 0 }), { code: "BAD_ANSWER", status: 200 });
  }));

test("the client sends its token and headers", () =>
  withServer(
    [
      (request, response) => {
        const { authorization, "x-team": team } = request.headers;
        response.end(JSON.stringify({ jsonrpc: "2.0", id: 1, result: { authorization, team } }));
      },
    ],
    async (server, _client) => {
      const client = new StateEngineClient({ url: server.url, token: "secret", headers: { "x-team": "a" } });
      assert.deepEqual(await client.getStats(), { authorization: "Bearer secret", team: "a" });
    },
  ));
