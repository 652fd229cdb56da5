import { type ExecutedTool, type Goal, type Outcome, RpcError, StateEngineClient, type ToolExecution } from "@openclaw/ts-client";

export type Execution = ToolExecution;
export type Claimed = ExecutedTool;

export interface Scope {
  user_id: string;
  session_id: string;
  goal_id: string;
}

/** The timeout of one try. The hooks limit the time of all tries together. */
const TRY_MS = 4_000;
const RETRIES = 4;
/** How long a call counts as running after its process died. `extendLease` renews it. */
const LEASE_MS = 15_000;
export const HEARTBEAT_MS = 5_000;

/** Whether the engine refused a call for good. After any other error, the call can be tried again later. */
export function refused(error: unknown): error is RpcError {
  return error instanceof RpcError && !error.retryable;
}

/** The part of the state API that the plugin uses. */
export class Engine {
  readonly url: string;
  readonly #client: StateEngineClient;

  constructor(url: string, token: string | undefined) {
    this.url = url;
    const timing = { timeout: TRY_MS, maxRetries: RETRIES };
    this.#client = new StateEngineClient({ url, ...timing, ...(token === undefined ? {} : { token }) });
  }

  /** The id of the user with this name. Creates the user if it does not exist. */
  async user(username: string): Promise<string> {
    const found = await this.#client.findUser(username);
    if (found) return found.id;
    try {
      return (await this.#client.createUser(username)).id;
    } catch (error) {
      // Another process has created it meanwhile, or a try whose answer was lost.
      const user = await this.#client.findUser(username);
      if (user) return user.id;
      throw error;
    }
  }

  /** The user's open sessions by name; of each name the newest. */
  async sessions(user_id: string): Promise<Map<string, string>> {
    const all = await this.#client.listSessions(user_id);
    const open = all.filter(({ status }) => status === "active" || status === "paused");
    return new Map(open.reverse().map(({ id, metadata }) => [String(metadata["name"] ?? id), id]));
  }

  async createSession(user_id: string, name: string): Promise<string> {
    return (await this.#client.createSession(user_id, null, { name })).id;
  }

  createGoal(user_id: string, session_id: string, title: string): Promise<Goal> {
    return this.#client.createGoal(user_id, session_id, title);
  }

  pendingGoals(session_id: string): Promise<Goal[]> {
    return this.#client.listPendingGoals(session_id);
  }

  /** Updates only the members that are given. */
  async updateGoal(goal: Pick<Goal, "id" | "status" | "context">): Promise<void> {
    await this.#client.updateGoal(goal as Goal);
  }

  executions(goal_id: string): Promise<Execution[]> {
    return this.#client.listToolExecutions(goal_id);
  }

  execution(id: string): Promise<Execution> {
    return this.#client.getToolExecution(id);
  }

  /** Claims a call. The same `claimId` gets the same lease again. */
  claim(scope: Scope, tool: string, input: unknown, key: string, claimId: string): Promise<Claimed> {
    const { user_id, session_id, goal_id } = scope;
    const options = { lease: true, leaseMs: LEASE_MS, claimId };
    return this.#client.executeToolIdempotent(user_id, session_id, goal_id, tool, input, key, options);
  }

  /** Records a call that is never held back. */
  recordCall({ user_id, session_id, goal_id }: Scope, tool: string, input: unknown): Promise<Execution> {
    return this.#client.createToolExecution(user_id, session_id, goal_id, tool, input);
  }

  /** Records how a call of `recordCall` ended. */
  async recordEnd(execution: Execution, error: string | null): Promise<void> {
    const status = error === null ? "completed" : "failed";
    await this.#client.updateToolExecution({ ...execution, status, error });
  }

  /** Waits for a call that another process runs. */
  wait(id: string, timeoutMs: number): Promise<Execution> {
    return this.#client.awaitToolExecution(id, timeoutMs);
  }

  async extendLease(lease: string): Promise<void> {
    await this.#client.extendLease(lease, LEASE_MS);
  }

  async finish(lease: string, outcome: Outcome, record: { output?: unknown; error?: string }): Promise<void> {
    await this.#client.finishToolExecution(lease, outcome, record);
  }
}
