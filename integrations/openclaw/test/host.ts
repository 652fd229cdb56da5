import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

const HOST = fileURLToPath(new URL("host-process.js", import.meta.url));

export interface Blocked {
  block: true;
  blockReason: string;
}

export interface ToolCall {
  tool: string;
  params: Record<string, unknown>;
  run: string;
  id: string;
  session?: string;
}

/** OpenClaw's side of the plugin API, in its own process. */
export class Host {
  hooks: string[] = [];
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, (result: unknown) => void>();
  #requests = 0;

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.on("message", ({ id, result }: { id: number; result: unknown }) => {
      this.#waiting.get(id)?.(result);
      this.#waiting.delete(id);
    });
  }

  static async start(plugin: unknown, host: unknown = {}): Promise<Host> {
    const child = fork(HOST, [JSON.stringify({ plugin, host })], { stdio: ["ignore", "inherit", "inherit", "ipc"] });
    const [{ hooks }] = (await once(child, "message")) as [{ hooks: string[] }];
    const started = new Host(child);
    started.hooks = hooks;
    return started;
  }

  /** Sends SIGKILL and waits for the end. */
  async kill(): Promise<void> {
    const exited = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await exited;
  }

  hook<T>(hook: string, event: unknown = {}, context: unknown = {}): Promise<T> {
    this.#requests += 1;
    const id = this.#requests;
    return new Promise((resolve) => {
      this.#waiting.set(id, resolve as (result: unknown) => void);
      this.#child.send({ id, hook, event, context });
    });
  }

  before(call: ToolCall): Promise<Blocked | undefined> {
    const { tool: toolName, params, id: toolCallId, run: runId } = call;
    return this.hook("before_tool_call", { toolName, params, toolCallId, runId }, contextOf(call));
  }

  async ended(call: ToolCall, text: string, more: { isError?: boolean; details?: unknown } = {}): Promise<void> {
    const { tool: toolName, id: toolCallId, params: args } = call;
    const { isError, details } = more;
    const result = { content: [{ type: "text", text }], details };
    await this.hook("middleware", { toolName, toolCallId, args, isError, result }, contextOf(call));
  }

  /** The host writes a result to the transcript. Returns what the plugin changed it to. */
  persisted(call: ToolCall, text: string, isSynthetic = false): Promise<{ message: { isError: boolean } } | undefined> {
    const { tool: toolName, id: toolCallId } = call;
    const message = { role: "toolResult", toolCallId, content: [{ type: "text", text }], isError: true };
    return this.hook("tool_result_persist", { toolName, toolCallId, message, isSynthetic }, contextOf(call));
  }

  /** A call from its start to the transcript. Returns what the model got. */
  async call(call: ToolCall, effect: () => string): Promise<string> {
    const blocked = await this.before(call);
    const text = blocked?.blockReason ?? effect();
    if (blocked === undefined) await this.ended(call, text);
    await this.persisted(call, text);
    return text;
  }
}

function contextOf({ run: runId, session, id: toolCallId, tool: toolName }: ToolCall): unknown {
  return { agentId: "main", sessionKey: session ?? "agent:main:test", sessionId: "s", runId, toolCallId, toolName };
}
