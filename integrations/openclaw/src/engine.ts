import { type ExecutedTool, type Goal, type Outcome, RpcError, StateEngineClient, type ToolExecution } from "@openclaw/ts-client";

export type Execution = ToolExecution;
export type Claimed = ExecutedTool;

export interface Place {
  user_id: string;
  session_id: string;
  goal_id: string;
}

/** One try; the hooks have a limit of their own for all of them. */
const TRY_MS = 4_000;
const RETRIES = 4;
/** How long a call lives after its process died; `keep` prolongs it. */
const LEASE_MS = 15_000;
export const KEEP_EVERY_MS = 5_000;

/** Whether the engine itself refused, and would again: else it may be asked later. */
export function refused(error: unknown): error is RpcError {
  return error instanceof RpcError && !error.retryable;
}

/** The state API, in the plugin's words. */
export class Engine {
  readonly url: string;
  readonly #client: StateEngineClient;

  constructor(url: string, token: string | undefined) {
    this.url = url;
    const timing = { timeout: TRY_MS, maxRetries: RETRIES };
    this.#client = new StateEngineClient({ url, ...timing, ...(token === undefined ? {} : { token }) });
  }

  /** The user of a name; made where there is none. */
  async user(username: string): Promise<string> {
    const found = await this.#client.findUser(username);
    if (found) return found.id;
    try {
      return (await this.#client.createUser(username)).id;
    } catch (error) {
      // Made by another process meanwhile, or by a try whose answer was lost.
      const made = await this.#client.findUser(username);
      if (made) return made.id;
      throw error;
    }
  }

  /** The user's sessions by name, the newest of each that is not over. */
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

  /** Stores the members that are given. */
  async updateGoal(goal: Pick<Goal, "id" | "status" | "context">): Promise<void> {
    await this.#client.updateGoal(goal as Goal);
  }

  executions(goal_id: string): Promise<Execution[]> {
    return this.#client.listToolExecutions(goal_id);
  }

  execution(id: string): Promise<Execution> {
    return this.#client.getToolExecution(id);
  }

  /** Asks whether a call may run. The same `claimId` gets the same lease again. */
  claim(place: Place, tool: string, input: unknown, key: string, claimId: string): Promise<Claimed> {
    const { user_id, session_id, goal_id } = place;
    const options = { lease: true, leaseMs: LEASE_MS, claimId };
    return this.#client.executeToolIdempotent(user_id, session_id, goal_id, tool, input, key, options);
  }

  /** Notes a call that is never held back. */
  note({ user_id, session_id, goal_id }: Place, tool: string, input: unknown): Promise<Execution> {
    return this.#client.createToolExecution(user_id, session_id, goal_id, tool, input);
  }

  /** Notes how a noted call ended. */
  async noted(execution: Execution, error: string | null): Promise<void> {
    const status = error === null ? "completed" : "failed";
    await this.#client.updateToolExecution({ ...execution, status, error });
  }

  /** Waits for one that another process runs. */
  wait(id: string, timeoutMs: number): Promise<Execution> {
    return this.#client.awaitToolExecution(id, timeoutMs);
  }

  async keep(lease: string): Promise<void> {
    await this.#client.extendLease(lease, LEASE_MS);
  }

  async finish(lease: string, outcome: Outcome, record: { output?: unknown; error?: string }): Promise<void> {
    await this.#client.finishToolExecution(lease, outcome, record);
  }
}
