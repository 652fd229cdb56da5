// The engine as a process with its own store, and what tests do with it.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../../", import.meta.url));
const target = process.env.CARGO_TARGET_DIR ?? join(root, "target");
export const binary =
  process.env.STATE_ENGINE_BIN ?? join(target, "debug", "openclaw-state-engine");

if (!existsSync(binary)) {
  throw new Error(`${binary} does not exist: run "cargo build" (or "cargo xtask test" for everything)`);
}

/** A running engine; `stop` ends it. */
export class Engine {
  /** Starts an engine with more flags of `serve`, on the store in `folder` if it is given. */
  static async start(flags = [], { folder, env = {}, addr = "127.0.0.1:0" } = {}) {
    const engine = new Engine();
    engine.folder = folder ?? mkdtempSync(join(tmpdir(), "dashboard-"));
    engine.database = join(engine.folder, "state.db");
    const clean = Object.fromEntries(
      Object.entries(process.env).filter(([name]) => !/^STATE_ENGINE_|_proxy$/i.test(name)),
    );
    engine.process = spawn(
      binary,
      ["serve", "--json", "--database", engine.database, "--addr", addr, "--proxy-addr",
        "127.0.0.1:0", ...flags],
      { env: { ...clean, ...env }, stdio: ["ignore", "pipe", "ignore"] },
    );
    engine.ended = once(engine.process, "exit");
    const lines = createInterface({ input: engine.process.stdout });
    const first = await Promise.race([once(lines, "line"), engine.ended]);
    const { api, proxy, dashboard } = JSON.parse(first[0]);
    Object.assign(engine, { api, proxy, dashboard });
    return engine;
  }

  /** Sends SIGTERM and waits for the end. Removes the store unless `keep` is set. */
  async stop({ keep = false } = {}) {
    this.process.kill("SIGTERM");
    await this.ended;
    if (!keep) rmSync(this.folder, { recursive: true, force: true });
  }

  /** Calls a method and returns its result. Throws its error. */
  async rpc(method, params = {}, headers = {}) {
    const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method, params });
    const answer = await fetch(this.api, {
      method: "POST",
      headers: { "Content-Type": "application/json", ...headers },
      body,
    });
    const { result, error } = await answer.json();
    if (error) throw Object.assign(new Error(error.message), error.data);
    return result;
  }

  /** Creates a user, a session called `name` and goals in it. */
  async scope(username, name, titles) {
    const user = await this.rpc("create_user", { username });
    const session = await this.rpc("create_session", { user_id: user.id, name });
    const goals = [];
    for (const title of titles) {
      goals.push(await this.rpc("create_goal", { user_id: user.id, session_id: session.id, title }));
    }
    return { user, session, goals };
  }

  /** Claims a tool call through the API, and finishes it if an outcome is given. */
  async tool(scope, tool, input, { goal = 0, key, outcome, output, error } = {}) {
    const claim = await this.rpc("execute_tool_idempotent", {
      user_id: scope.user.id,
      session_id: scope.session.id,
      goal_id: scope.goals[goal].id,
      tool_name: tool,
      tool_input: input,
      idempotency_key: key,
      lease: true,
    });
    if (outcome && claim.claim === "execute") {
      await this.rpc("finish_tool_execution", { lease: claim.lease, outcome, output, error });
    }
    return claim;
  }

  /** Sends a request through the proxy and returns the whole answer. */
  send(url, { method = "POST", headers = {}, body = "" } = {}) {
    const { hostname, port } = new URL(this.proxy);
    const { host } = new URL(url);
    return new Promise((resolve, reject) => {
      const sent = request(
        { hostname, port, method, path: url, headers: { Host: host, ...headers } },
        (answer) => {
          const parts = [];
          answer.on("data", (part) => parts.push(part));
          answer.on("end", () =>
            resolve({
              status: answer.statusCode,
              headers: answer.headers,
              body: Buffer.concat(parts).toString(),
            }),
          );
          answer.on("error", reject);
        },
      );
      sent.on("error", reject);
      sent.end(body);
    });
  }
}
