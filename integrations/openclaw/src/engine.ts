/** The state API, as far as the plugin uses it. */

export interface Execution {
  id: string;
  goal_id: string;
  tool_name: string;
  status: "pending" | "running" | "completed" | "failed" | "cancelled" | "in_doubt";
  outcome: "executed" | "not_executed" | "unknown" | null;
  output: unknown;
  error: string | null;
  idempotency_key: string | null;
  attempt: number;
  started_at: string | null;
  completed_at: string | null;
  created_at: string;
}

export interface Claimed extends Execution {
  claim: "execute" | "replay" | "busy" | "in_doubt";
  lease?: string;
  input_mismatch: boolean;
}

export interface Goal {
  id: string;
  title: string;
  context: Record<string, unknown>;
}

interface Named {
  id: string;
}

interface Session extends Named {
  status: string;
  metadata: { name?: string };
}

export interface Place {
  user_id: string;
  session_id: string;
  goal_id: string;
}

/** No answer of the engine, or one that says that it did not do what was asked. */
export class EngineError extends Error {
  /** The engine's own word; none where no answer came. */
  readonly code: string | undefined;

  constructor(message: string, code?: string) {
    super(message);
    this.code = code;
  }
}

/** A claim waits so long, of the 15 s that the host gives to a hook. */
const CLAIM_MS = 6_000;
const CALL_MS = 5_000;
const PAUSE_MS = 100;
/** How long a call lives after its process died; `keep` prolongs it. */
const LEASE_MS = 15_000;
export const KEEP_EVERY_MS = 5_000;

export class Engine {
  readonly url: string;
  readonly #token: string | undefined;

  constructor(url: string, token: string | undefined) {
    this.url = url;
    this.#token = token;
  }

  async user(username: string): Promise<string> {
    const found = await this.#call<Named | null>("find_user", { username });
    if (found) return found.id;
    try {
      return (await this.#call<Named>("create_user", { username })).id;
    } catch (error) {
      const other =
        error instanceof EngineError && error.code === "CONFLICT"
          ? await this.#call<Named | null>("find_user", { username })
          : null;
      if (other) return other.id;
      throw error;
    }
  }

  /** The user's sessions by name, the newest of each that is not over. */
  async sessions(user_id: string): Promise<Map<string, string>> {
    const all = await this.#call<Session[]>("list_sessions", { user_id });
    const open = all.filter(({ status }) => status === "active" || status === "paused");
    return new Map(open.reverse().map(({ id, metadata }) => [metadata.name ?? id, id]));
  }

  async createSession(user_id: string, name: string): Promise<string> {
    return (await this.#call<Named>("create_session", { user_id, name })).id;
  }

  createGoal(user_id: string, session_id: string, title: string): Promise<Goal> {
    return this.#call("create_goal", { user_id, session_id, title });
  }

  pendingGoals(session_id: string): Promise<Goal[]> {
    return this.#call("list_pending_goals", { session_id });
  }

  /** Stores the members that are given; may be repeated. */
  async updateGoal(goal: { id: string; status: string; context: unknown }): Promise<void> {
    await this.#call("update_goal", { goal });
  }

  executions(goal_id: string): Promise<Execution[]> {
    return this.#call("list_tool_executions", { goal_id });
  }

  execution(id: string): Promise<Execution> {
    return this.#call("get_tool_execution", { id });
  }

  /** Asks whether a call may run. May be repeated: the same `claim_id` gets the same lease again. */
  claim(
    place: Place,
    call: { tool_name: string; tool_input: unknown; idempotency_key: string; claim_id: string },
  ): Promise<Claimed> {
    const params = { ...place, ...call, lease: true, lease_ms: LEASE_MS };
    return this.#call("execute_tool_idempotent", params, CLAIM_MS);
  }

  /** Notes a call that is never held back. */
  note(place: Place, tool_name: string, tool_input: unknown): Promise<Execution> {
    return this.#call("create_tool_execution", { ...place, tool_name, tool_input });
  }

  /** Notes how a noted call ended. */
  async noted(execution: Execution, error: string | undefined): Promise<void> {
    const status = error === undefined ? "completed" : "failed";
    await this.#call("update_tool_execution", { execution: { ...execution, status, error } });
  }

  /** Waits for one that another process runs. */
  wait(id: string, timeout_ms: number): Promise<Execution> {
    return this.#call("await_tool_execution", { id, timeout_ms }, timeout_ms + CALL_MS);
  }

  keep(lease: string): Promise<Execution> {
    return this.#call("extend_lease", { lease, lease_ms: LEASE_MS });
  }

  finish(
    lease: string,
    outcome: "executed" | "not_executed" | "unknown",
    result: { output?: unknown; error?: string },
  ): Promise<Execution> {
    return this.#call("finish_tool_execution", { lease, outcome, ...result });
  }

  /** Calls until there is an answer or the time is up. Each method here may be repeated. */
  async #call<T>(method: string, params: unknown, ms = CALL_MS): Promise<T> {
    const deadline = AbortSignal.timeout(ms);
    const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method, params });
    const headers: Record<string, string> = { "content-type": "application/json" };
    if (this.#token) headers["authorization"] = `Bearer ${this.#token}`;
    for (;;) {
      let why: unknown;
      try {
        const answer = await fetch(this.url, { method: "POST", body, headers, signal: deadline });
        const read = (await answer.json()) as {
          result?: T;
          error?: { message: string; data?: { code?: string } };
        };
        if (read.error === undefined) return read.result as T;
        const code = read.error.data?.code ?? "UNKNOWN";
        if (code !== "BUSY") throw new EngineError(read.error.message, code);
        why = read.error.message;
      } catch (error) {
        if (error instanceof EngineError) throw error;
        why = error instanceof Error && error.cause instanceof Error ? error.cause.message : error;
      }
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
      if (deadline.aborted) throw new EngineError(`${method}: no answer in ${ms} ms (${why})`);
    }
  }
}
