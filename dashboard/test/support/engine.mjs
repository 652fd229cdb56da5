// The engine as a process, on a store of its own, and what tests ask of it.

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
  throw new Error(`${binary} is not there: cargo build makes it (cargo xtask test does all)`);
}

/** A running engine; `stop` ends it. */
export class Engine {
  /** Starts one with further flags of `serve`; on the store in `folder`, where one is given. */
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
    const doors = JSON.parse(first[0]);
    Object.assign(engine, { api: doors.api, proxy: doors.proxy, dashboard: doors.dashboard });
    return engine;
  }

  /** SIGTERM, and the end; the store goes too, unless `keep`. */
  async stop({ keep = false } = {}) {
    this.process.kill("SIGTERM");
    await this.ended;
    if (!keep) rmSync(this.folder, { recursive: true, force: true });
  }

  /** The result of a method; an error is thrown. */
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

  /** A user, a session of that name and goals in it. */
  async scope(username, name, titles) {
    const user = await this.rpc("create_user", { username });
    const session = await this.rpc("create_session", { user_id: user.id, name });
    const goals = [];
    for (const title of titles) {
      goals.push(await this.rpc("create_goal", { user_id: user.id, session_id: session.id, title }));
    }
    return { user, session, goals };
  }

  /** Claims a tool call by the API; finishes it where an outcome is given. */
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

  /** Sends a request through the proxy; the whole answer. */
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
