import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { once } from "node:events";

import { StateEngineClient } from "@openclaw/ts-client";

export { Engine } from "../../tests/support/engine.mjs";

/** A client of `engine` with its own user, session and goal. */
export async function begin(engine, options = {}) {
  const client = new StateEngineClient({ url: engine.url, ...options });
  const user = await client.createUser(randomUUID());
  const session = await client.createSession(user.id);
  const goal = await client.createGoal(user.id, session.id, "a goal");
  return { client, user, session, goal, userId: user.id, sessionId: session.id, goalId: goal.id };
}

/** A promise that resolves when `open` is called. */
export function gate() {
  let open;
  const opened = new Promise((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

/**
 * A server that answers each request with the next entry of `script`: an answer, or
 * `(request, response) => …` to misbehave. `seen` holds the bodies that it received.
 */
export async function scripted(script) {
  const seen = [];
  const server = createServer(async (request, response) => {
    let body = "";
    for await (const part of request) body += part;
    seen.push(JSON.parse(body));
    const next = script.shift();
    if (typeof next === "function") return next(request, response);
    const { status = 200, headers = {}, result, error, text } = next;
    const { id } = seen.at(-1);
    response.writeHead(status, { "content-type": "application/json", ...headers });
    response.end(text ?? JSON.stringify({ jsonrpc: "2.0", id, ...(error ? { error } : { result }) }));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = `http://127.0.0.1:${server.address().port}`;
  const close = () => {
    server.closeAllConnections();
    server.close();
  };
  return { url, seen, close, left: script };
}
