import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";

const TOKEN = "token-of-the-tests";
const READY_MS = 180_000;
const TURN_MS = 150_000;

/** How a gateway is started. */
export interface Setting {
  /** The gateway's own folder, which outlives it. */
  home: string;
  /** `openclaw.mjs` of the installed package. */
  openclaw: string;
  model: string;
  sink: string;
  engine: string;
  plugins: string[];
  entries?: Record<string, unknown>;
  toolSearch?: boolean;
  proxy: { proxyUrl: string; loopbackMode?: string };
  more?: Record<string, unknown>;
}

export interface Invocation {
  status: number;
  body: { ok: boolean; result?: { content: { text: string }[] }; error?: { type: string; message: string } };
}

/** OpenClaw's real gateway, as a process. */
export class Gateway {
  readonly #setting: Setting;
  #child: ChildProcess | undefined;
  #port = 0;

  constructor(setting: Setting) {
    this.#setting = setting;
    mkdirSync(this.#flags, { recursive: true });
    mkdirSync(join(setting.home, "workspace"), { recursive: true });
  }

  get #flags(): string {
    return join(this.#setting.home, "flags");
  }

  get #config(): string {
    return join(this.#setting.home, "openclaw.json");
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  readonly token = TOKEN;

  get log(): string {
    return join(this.#setting.home, "gateway.log");
  }

  /** Starts the gateway and waits until it is ready. */
  async start(): Promise<void> {
    await this.configure();
    const out = openSync(this.log, "a");
    const child = spawn(process.execPath, [this.#setting.openclaw, "gateway", "run"], {
      stdio: ["ignore", out, out],
      env: this.#env(),
      // Its own process group, so that its child processes die with it.
      detached: true,
    });
    this.#child = child;
    await this.ready();
  }

  async ready(): Promise<void> {
    const deadline = Date.now() + READY_MS;
    while (Date.now() < deadline) {
      if (this.#child?.exitCode !== null) throw new Error(`the gateway exited: see ${this.log}`);
      const ready = await fetch(`${this.url}/readyz`).catch(() => undefined);
      if (ready?.ok) return;
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    throw new Error(`the gateway is not ready after ${READY_MS} ms: see ${this.log}`);
  }

  /** Writes the gateway's configuration, once. */
  async configure(): Promise<void> {
    if (existsSync(this.#config)) return;
    this.#port = await freePort();
    const { model, home, plugins, entries, toolSearch, proxy, more } = this.#setting;
    const config = {
      gateway: {
        mode: "local",
        bind: "loopback",
        port: this.#port,
        auth: { mode: "token", token: TOKEN },
        http: { endpoints: { chatCompletions: { enabled: true } } },
      },
      update: { checkOnStart: false, auto: { enabled: false } },
      telemetry: { enabled: false },
      agents: {
        defaults: {
          workspace: join(home, "workspace"),
          skipBootstrap: true,
          model: { primary: "mock/mock-1" },
          heartbeat: { every: "0m" },
        },
      },
      models: {
        mode: "replace",
        catalogRefresh: { enabled: false },
        providers: { mock: provider(model) },
      },
      tools: {
        ...(toolSearch ? {} : { toolSearch: false }),
        exec: { host: "gateway", security: "full", ask: "off" },
      },
      plugins: { load: { paths: plugins }, entries: { mailer: { enabled: true }, ...entries } },
      proxy,
      logging: { file: join(home, "openclaw.log") },
      ...more,
    };
    writeFileSync(this.#config, JSON.stringify(config, null, 2));
  }

  #env(): NodeJS.ProcessEnv {
    const { home, sink, engine } = this.#setting;
    return {
      PATH: process.env["PATH"],
      HOME: home,
      OPENCLAW_HOME: home,
      OPENCLAW_STATE_DIR: join(home, "state"),
      OPENCLAW_CONFIG_PATH: this.#config,
      OPENCLAW_GATEWAY_TOKEN: TOKEN,
      OPENCLAW_HIDE_BANNER: "1",
      OPENCLAW_NO_AUTO_UPDATE: "1",
      OPENCLAW_DISABLE_BONJOUR: "1",
      OPENCLAW_SKIP_CANVAS_HOST: "1",
      OPENCLAW_SKIP_BROWSER_CONTROL_SERVER: "1",
      DO_NOT_TRACK: "1",
      NO_COLOR: "1",
      STATE_ENGINE_URL: engine,
      MAIL_SINK: sink,
      MAIL_FLAGS: this.#flags,
    };
  }

  /** Runs a command of OpenClaw and returns its output. */
  async openclaw(...args: string[]): Promise<string> {
    const { stdout, stderr } = await promisify(execFile)(
      process.execPath,
      [this.#setting.openclaw, ...args],
      { env: this.#env(), timeout: READY_MS },
    );
    return stdout + stderr;
  }

  /** Runs one turn of the agent in the session of `user` and returns its last message. */
  async turn(user: string, text: string): Promise<string> {
    const answer = await fetch(`${this.url}/v1/chat/completions`, {
      method: "POST",
      headers: { authorization: `Bearer ${TOKEN}`, "content-type": "application/json" },
      body: JSON.stringify({ model: "openclaw", user, messages: [{ role: "user", content: text }] }),
      signal: AbortSignal.timeout(TURN_MS),
    });
    const completion = (await answer.json()) as { choices?: { message: { content: string } }[] };
    return completion.choices?.[0]?.message.content ?? `status ${answer.status}: ${JSON.stringify(completion)}`;
  }

  async invoke(tool: string, args: unknown, idempotencyKey?: string): Promise<Invocation> {
    const answer = await fetch(`${this.url}/tools/invoke`, {
      method: "POST",
      headers: { authorization: `Bearer ${TOKEN}`, "content-type": "application/json" },
      body: JSON.stringify({ tool, args, idempotencyKey }),
      signal: AbortSignal.timeout(TURN_MS),
    });
    return { status: answer.status, body: (await answer.json()) as Invocation["body"] };
  }

  /** Makes the process stop before it next writes a tool's result to the transcript. */
  stopBeforeTranscript(): void {
    writeFileSync(join(this.#flags, "stop-before-transcript"), "");
  }

  /** Waits until the process has stopped before the transcript. */
  async stopped(): Promise<void> {
    const file = join(this.#flags, "stopped");
    await until("the gateway stops before the transcript", () => existsSync(file));
  }

  /** Sends SIGKILL to the gateway and all processes that it started. */
  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child?.pid === undefined || child.exitCode !== null) return;
    const exited = once(child, "exit");
    process.kill(-child.pid, "SIGKILL");
    await exited;
    rmSync(this.#flags, { recursive: true });
    mkdirSync(this.#flags);
  }

  /** The end of the gateway's log, to report with a failed case. */
  tail(): string {
    return existsSync(this.log) ? readFileSync(this.log, "utf8").split("\n").slice(-40).join("\n") : "";
  }
}

function provider(baseUrl: string): unknown {
  const cost = { input: 0, output: 0, cacheRead: 0, cacheWrite: 0 };
  const model = { id: "mock-1", name: "Mock 1", reasoning: false, input: ["text"], cost };
  const models = [{ ...model, contextWindow: 128_000, maxTokens: 4_096 }];
  return { baseUrl, apiKey: "sk-mock", api: "openai-completions", models };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Polls until a condition in another process holds. */
export async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + TURN_MS;
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`timed out waiting until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
