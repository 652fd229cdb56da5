import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { createInterface } from "node:readline";
import { resolve } from "node:path";

/** The binary under test: `STATE_ENGINE_BIN`, else the debug build of this tree. Assumes that the tests run
 * in this package's folder. */
export function binary(): string {
  const path = process.env["STATE_ENGINE_BIN"] ?? resolve("../../target/debug/openclaw-state-engine");
  if (existsSync(path)) return path;
  throw new Error(`${path} does not exist: run "cargo build", or set STATE_ENGINE_BIN`);
}

/** The engine as a process, with a database that outlives it. */
export class EngineProcess {
  url = "";
  proxy = "";
  readonly #database: string;
  readonly #flags: string[];
  #child: ChildProcess | undefined;

  constructor(database: string, ...flags: string[]) {
    this.#database = database;
    this.#flags = flags;
  }

  /** Starts the engine. A restart uses the same addresses, so that its clients find it. */
  async start(): Promise<this> {
    const at = (url: string) => (url === "" ? "127.0.0.1:0" : new URL(url).host);
    const args = ["serve", "--json", "--database", this.#database, ...this.#flags];
    const addresses = ["--addr", at(this.url), "--proxy-addr", at(this.proxy)];
    const child = spawn(binary(), [...args, ...addresses], {
      stdio: ["ignore", "pipe", "ignore"],
      env: { HOME: process.env["HOME"], STATE_ENGINE_LOG: "off" },
    });
    this.#child = child;
    const ended = once(child, "exit").then(([code]) => {
      throw new Error(`the engine exited with ${code} before its listeners were open`);
    });
    const [line] = (await Promise.race([once(createInterface(child.stdout), "line"), ended])) as [string];
    ended.catch(() => {});
    const ready = JSON.parse(line) as { api: string; proxy: string };
    this.url = withScheme(ready.api);
    this.proxy = withScheme(ready.proxy);
    return this;
  }

  /** Sends SIGKILL and waits for the end. */
  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null) return;
    const exited = once(child, "exit");
    child.kill("SIGKILL");
    await exited;
  }

  async call<T>(method: string, params: unknown): Promise<T> {
    const answer = await fetch(this.url, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }),
    });
    const { result, error } = (await answer.json()) as { result: T; error?: unknown };
    if (error !== undefined) throw new Error(`${method}: ${JSON.stringify(error)}`);
    return result;
  }
}

function withScheme(address: string): string {
  return address.startsWith("http") ? address : `http://${address}`;
}
