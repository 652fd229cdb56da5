// The engine as a process, for the tests of the npm packages and for the examples. It can be killed, and
// started again on the same store and the same ports.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), "../..");

/** The binary: `STATE_ENGINE_BIN`, else the debug build of this tree, which is built if it is missing. */
export function engineBinary() {
  if (process.env.STATE_ENGINE_BIN) return process.env.STATE_ENGINE_BIN;
  const built = join(ROOT, "target/debug/openclaw-state-engine");
  if (!existsSync(built)) {
    const { status } = spawnSync("cargo", ["build"], { cwd: ROOT, stdio: ["ignore", 2, 2] });
    if (status !== 0) throw new Error("the build of the engine failed: see above, or set STATE_ENGINE_BIN");
  }
  return built;
}

export class Engine {
  #child;
  #folder;
  #args;

  constructor(folder, args) {
    this.#folder = folder;
    this.#args = args;
  }

  /** Starts an engine on free ports with an empty store. `args` are further arguments of `serve`. */
  static async start(...args) {
    const engine = new Engine(await mkdtemp(join(tmpdir(), "state-engine-")), args);
    await engine.#open("127.0.0.1:0", "127.0.0.1:0");
    return engine;
  }

  /** Starts it again after `kill` or `stop`, on the same ports and store. */
  async restart() {
    await this.#open(new URL(this.url).host, new URL(this.proxy).host);
  }

  get pid() {
    return this.#child.pid;
  }

  get database() {
    return join(this.#folder, "state.db");
  }

  /** Sends SIGKILL: nothing is drained, flushed or closed. */
  async kill() {
    await this.#end("SIGKILL");
  }

  /** Sends SIGTERM and waits for the end. */
  async stop() {
    await this.#end("SIGTERM");
  }

  /** Kills the engine and removes its store. */
  async remove() {
    await this.#end("SIGKILL");
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #open(addr, proxyAddr) {
    const child = spawn(
      engineBinary(),
      ["serve", "--database", this.database, "--addr", addr, "--proxy-addr", proxyAddr, ...this.#args],
      { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, STATE_ENGINE_LOG: "warn" } },
    );
    this.#child = child;
    let log = "";
    child.stderr.on("data", (data) => {
      log = (log + data).slice(-10_000);
    });
    const listeners = new Map();
    for await (const line of createInterface({ input: child.stdout })) {
      const found = /^(State API|Proxy)\s+(http:\S+)/.exec(line);
      if (found) listeners.set(found[1], found[2]);
      if (line.startsWith("Database")) break;
    }
    child.stdout.resume();
    this.url = listeners.get("State API");
    this.proxy = listeners.get("Proxy");
    if (!this.url || !this.proxy) {
      await this.#end("SIGKILL");
      throw new Error(`the engine did not open its API and its proxy:\n${log}`);
    }
  }

  async #end(signal) {
    const child = this.#child;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, "exit");
    child.kill(signal);
    await exited;
  }
}
