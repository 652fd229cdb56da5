import { isStateEngineError, RpcError, StateEngineClient, type ToolContext } from "@openclaw/ts-client";

import { Gateway } from "./gateway.ts";

/**
 * A tool that this process runs. `key` names the call: hand it on where the tool's own API takes an
 * idempotency key. To throw leaves the call in doubt; an error with `toolRan: "no"` or `"yes"` says more.
 */
export type LocalTool = (
  args: Record<string, unknown>,
  context: { key: string; attempt: number; signal: AbortSignal },
) => unknown;

export interface OpenClawAgentOptions {
  /** The user's name in the engine; made where there is none. */
  userId: string;
  /** The state API; `http://127.0.0.1:3030` unless given. */
  engineUrl?: string;
  /** The engine's bearer token, where it has one. */
  engineToken?: string;
  /** What is begun where no goal is pending; `OpenClaw agent` unless given. */
  goal?: string;
  /** Tools that run here. Every other tool is asked of the gateway. */
  tools?: Record<string, LocalTool>;
  /** OpenClaw's gateway; `http://127.0.0.1:18789` unless given. */
  gatewayUrl?: string;
  /** The gateway's token; `OPENCLAW_GATEWAY_TOKEN` of the environment unless given. */
  gatewayToken?: string;
  /** Whose tools the gateway runs, and in which of its sessions. */
  agentId?: string;
  sessionKey?: string;
  /** Milliseconds without a heartbeat after which a call is in doubt; 60,000. */
  leaseMs?: number;
}

export interface ExecuteOptions {
  /** Names the call within the user. Left out, it is the same as any with this tool and input in this goal. */
  idempotencyKey?: string;
  signal?: AbortSignal;
}

/** Where the agent stands. */
export interface Standing {
  userId: string;
  sessionId: string;
  goalId: string;
  /** The session was active, or the goal was pending, before this process. */
  resumed: { session: boolean; goal: boolean };
}

/** An agent whose tool calls take effect once, over retries, restarts and copies of it. */
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

  /** Where it stands; `init` comes first. */
  get standing(): Standing {
    if (this.#standing === undefined) throw new Error("call init() first");
    return this.#standing;
  }

  /**
   * Resumes the user's active session and the goal that is pending in it, the most urgent one first;
   * makes what is missing.
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
   * Runs a tool once, here or by the gateway, and gives its result; a repeat gets the recorded one.
   * Throws what `runTool` of the TypeScript client throws: by `code`, `IN_DOUBT`, `TOOL_FAILED`,
   * `NOT_EXECUTED` and so on, with `toolRan`.
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

  /** Ends the goal, so that later calls are new wishes; begins the next one where it is given. */
  async complete(result?: unknown, next?: string): Promise<void> {
    const { userId, sessionId, goalId } = this.standing;
    const goal = await this.#client.getGoal(goalId);
    await this.#client.updateGoal({ ...goal, status: "completed", result: result ?? null });
    this.#standing = undefined;
    if (next === undefined) return;
    const begun = await this.#newGoal(userId, sessionId, next);
    this.#standing = { userId, sessionId, goalId: begun.id, resumed: { session: true, goal: false } };
  }

  async #user(): Promise<string> {
    const username = this.#options.userId;
    const found = await this.#client.findUser(username);
    if (found !== null) return found.id;
    try {
      return (await this.#client.createUser(username)).id;
    } catch (error) {
      // Another copy of this agent was quicker.
      const made = error instanceof RpcError && error.code === "CONFLICT" ? await this.#client.findUser(username) : null;
      if (made === null) throw error;
      return made.id;
    }
  }

  async #newGoal(userId: string, sessionId: string, title: string): Promise<{ id: string }> {
    const goal = await this.#client.createGoal(userId, sessionId, title);
    await this.#client.updateGoal({ ...goal, status: "in_progress" });
    return goal;
  }
}

/** What a local tool's error says of its effect; one of the engine's client is about another call. */
function classify(error: unknown): "executed" | "not_executed" | "unknown" {
  if (typeof error !== "object" || error === null || isStateEngineError(error)) return "unknown";
  const { toolRan } = error as { toolRan?: unknown };
  if (toolRan === "yes") return "executed";
  return toolRan === "no" ? "not_executed" : "unknown";
}
