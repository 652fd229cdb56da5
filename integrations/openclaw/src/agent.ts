import { isStateEngineError, RpcError, StateEngineClient, type ToolContext } from "@openclaw/ts-client";

import { Gateway } from "./gateway.ts";

/**
 * A tool that this process runs. `key` is the idempotency key of the call: pass it on if the tool's own
 * API accepts one. A tool that throws leaves its call in doubt, unless the error has `toolRan: "no"` or
 * `"yes"`.
 */
export type LocalTool = (
  args: Record<string, unknown>,
  context: { key: string; attempt: number; signal: AbortSignal },
) => unknown;

export interface OpenClawAgentOptions {
  /** The user's name in the engine. The user is created if it does not exist. */
  userId: string;
  /** The state API. Default: `http://127.0.0.1:3030`. */
  engineUrl?: string;
  /** The engine's bearer token, if it requires one. */
  engineToken?: string;
  /** The title of the goal that is created if no goal is pending. Default: `OpenClaw agent`. */
  goal?: string;
  /** Tools that run in this process. Every other tool is called through the gateway. */
  tools?: Record<string, LocalTool>;
  /** OpenClaw's gateway. Default: `http://127.0.0.1:18789`. */
  gatewayUrl?: string;
  /** The gateway's token. Default: `OPENCLAW_GATEWAY_TOKEN` of the environment. */
  gatewayToken?: string;
  /** The agent whose tools the gateway runs, and its session in the gateway. */
  agentId?: string;
  sessionKey?: string;
  /** Milliseconds without a heartbeat after which a call is in doubt. Default 60,000. */
  leaseMs?: number;
}

export interface ExecuteOptions {
  /** Names the call, unique per user. Without it, equal tool and input in a goal are the same call. */
  idempotencyKey?: string;
  signal?: AbortSignal;
}

/** The scope in which the agent's calls are recorded. */
export interface Standing {
  userId: string;
  sessionId: string;
  goalId: string;
  /** Whether the session was active, and the goal pending, before this process. */
  resumed: { session: boolean; goal: boolean };
}

/** An agent whose tool calls take effect once, across retries, restarts and copies of the program. */
export class OpenClawAgent {
  readonly #options: OpenClawAgentOptions;
  readonly #client: StateEngineClient;
  readonly #gateway: Gateway;
  #standing: Standing | undefined;

  constructor(options: OpenClawAgentOptions) {
    const { engineUrl, engineToken } = options;
    this.#options = options;
    this.#client = new StateEngineClient({
      ...(engineUrl === undefined ? {} : { url: engineUrl }),
      ...(engineToken === undefined ? {} : { token: engineToken }),
    });
    this.#gateway = new Gateway(options);
  }

  /** What `init` found or created. Throws before `init`. */
  get standing(): Standing {
    if (this.#standing === undefined) throw new Error("call init() first");
    return this.#standing;
  }

  /**
   * Resumes the user's active session and its pending goal, the most urgent one first. Creates what is
   * missing.
   */
  async init(): Promise<Standing> {
    const userId = await this.#user();
    const active = await this.#client.getActiveSession(userId);
    const session = active ?? (await this.#client.createSession(userId));
    const [pending] = await this.#client.listPendingGoals(session.id);
    const goal = pending ?? (await this.#newGoal(userId, session.id, this.#options.goal ?? "OpenClaw agent"));
    const resumed = { session: active !== null, goal: pending !== undefined };
    this.#standing = { userId, sessionId: session.id, goalId: goal.id, resumed };
    return this.#standing;
  }

  /**
   * Runs a tool once, in this process or through the gateway, and returns its result. A repeat gets the
   * recorded result. Throws the errors of the TypeScript client's `runTool`, with `toolRan` and a `code`
   * such as `IN_DOUBT`, `TOOL_FAILED` or `NOT_EXECUTED`.
   */
  async execute(
    tool: string,
    args: Record<string, unknown> = {},
    { idempotencyKey: key, signal }: ExecuteOptions = {},
  ): Promise<unknown> {
    const { userId, sessionId, goalId } = this.standing;
    const { tools = {}, leaseMs } = this.#options;
    const local = Object.hasOwn(tools, tool) ? tools[tool] : undefined;
    const run = ({ key, attempt, signal }: ToolContext) =>
      local === undefined ? this.#gateway.invoke(tool, args, key, attempt, signal) : local(args, { key, attempt, signal });
    return this.#client.runTool({ userId, sessionId, goalId, tool, input: args, key }, run, { leaseMs, signal, classify });
  }

  /** Completes the goal, so that a repeat of its calls is a new call. `next` creates the next goal. */
  async complete(result?: unknown, next?: string): Promise<void> {
    const { userId, sessionId, goalId } = this.standing;
    const goal = await this.#client.getGoal(goalId);
    await this.#client.updateGoal({ ...goal, status: "completed", result: result ?? null });
    this.#standing = undefined;
    if (next === undefined) return;
    const created = await this.#newGoal(userId, sessionId, next);
    this.#standing = { userId, sessionId, goalId: created.id, resumed: { session: true, goal: false } };
  }

  async #user(): Promise<string> {
    const username = this.#options.userId;
    const found = await this.#client.findUser(username);
    if (found !== null) return found.id;
    try {
      return (await this.#client.createUser(username)).id;
    } catch (error) {
      // Another copy of this agent has created the user meanwhile.
      const user = error instanceof RpcError && error.code === "CONFLICT" ? await this.#client.findUser(username) : null;
      if (user === null) throw error;
      return user.id;
    }
  }

  async #newGoal(userId: string, sessionId: string, title: string): Promise<{ id: string }> {
    const goal = await this.#client.createGoal(userId, sessionId, title);
    await this.#client.updateGoal({ ...goal, status: "in_progress" });
    return goal;
  }
}

/** The outcome that a local tool's error shows. An error of the engine's client is about another call. */
function classify(error: unknown): "executed" | "not_executed" | "unknown" {
  if (typeof error !== "object" || error === null || isStateEngineError(error)) return "unknown";
  const { toolRan } = error as { toolRan?: unknown };
  if (toolRan === "yes") return "executed";
  return toolRan === "no" ? "not_executed" : "unknown";
}
