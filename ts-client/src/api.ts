import { BLANK_KEY, isBlank } from "./blank-key.js";
import { assertJson } from "./json.js";
import type { ExecuteOptions, ExecutionFilter, UpdateOptions } from "./options.js";
import { type CallOptions, type ClientOptions, Transport } from "./transport.js";
import type * as wire from "./wire.js";

type Params<M extends keyof wire.Methods> = wire.Methods[M]["params"];
type Result<M extends keyof wire.Methods> = Promise<wire.Methods[M]["result"]>;

/**
 * The state API. Arguments are those of v0.1, in the same order; the last argument holds options.
 * Entities have the field names of the wire.
 *
 * If an answer was lost, the client sends the call again only if carrying it out twice is the same as
 * once: reads, calls with a key, `finishToolExecution` and `extendLease`. It sends creates and updates
 * again only if they certainly did not arrive, or were refused and changed nothing.
 */
export class StateApi {
  readonly #transport: Transport;

  constructor(options: ClientOptions = {}) {
    this.#transport = new Transport(options);
  }

  createUser(username: string, displayName?: string | null, email?: string | null, options?: CallOptions): Result<"create_user"> {
    return this.#once("create_user", { username, display_name: displayName ?? null, email: email ?? null }, options);
  }

  getUser(id: string, options?: CallOptions): Result<"get_user"> {
    return this.#repeatable("get_user", { id }, options);
  }

  /** The user with this name, or null. Lets an agent find its user again after a restart. */
  findUser(username: string, options?: CallOptions): Result<"find_user"> {
    return this.#repeatable("find_user", { username }, options);
  }

  createSession(userId: string, channelId?: string | null, options: CallOptions & { name?: string } = {}): Result<"create_session"> {
    const params = { user_id: userId, channel_id: channelId ?? null, name: options.name ?? null };
    return this.#once("create_session", params, options);
  }

  getSession(id: string, options?: CallOptions): Result<"get_session"> {
    return this.#repeatable("get_session", { id }, options);
  }

  /** The user's active session with the latest activity, or null. */
  getActiveSession(userId: string, options?: CallOptions): Result<"get_active_session"> {
    return this.#repeatable("get_active_session", { user_id: userId }, options);
  }

  listSessions(userId?: string | null, options?: CallOptions): Result<"list_sessions"> {
    return this.#repeatable("list_sessions", { user_id: userId ?? null }, options);
  }

  updateSession(session: wire.Session, options: UpdateOptions = {}): Result<"update_session"> {
    return this.#once("update_session", { session, if_updated_at: options.ifUpdatedAt ?? null }, options);
  }

  createGoal(userId: string, sessionId: string, title: string, description?: string | null, options?: CallOptions): Result<"create_goal"> {
    const params = { user_id: userId, session_id: sessionId, title, description: description ?? null };
    return this.#once("create_goal", params, options);
  }

  getGoal(id: string, options?: CallOptions): Result<"get_goal"> {
    return this.#repeatable("get_goal", { id }, options);
  }

  updateGoal(goal: wire.Goal, options: UpdateOptions = {}): Result<"update_goal"> {
    return this.#once("update_goal", { goal, if_updated_at: options.ifUpdatedAt ?? null }, options);
  }

  /** Goals that are pending or in progress: critical ones first, then the oldest. */
  listPendingGoals(sessionId: string, options?: CallOptions): Result<"list_pending_goals"> {
    return this.#repeatable("list_pending_goals", { session_id: sessionId }, options);
  }

  listGoals(sessionId: string, options?: CallOptions): Result<"list_goals"> {
    return this.#repeatable("list_goals", { session_id: sessionId }, options);
  }

  /** Records a tool call without a key. */
  createToolExecution(
    userId: string,
    sessionId: string,
    goalId: string,
    toolName: string,
    toolInput: unknown,
    options?: CallOptions,
  ): Result<"create_tool_execution"> {
    const refused = notJson(toolInput);
    if (refused) return refused;
    const params = { user_id: userId, session_id: sessionId, goal_id: goalId, tool_name: toolName, tool_input: toolInput };
    return this.#once("create_tool_execution", params, options);
  }

  /** The execution that holds the key, new or old. With `lease`, `claim` says who may run it. */
  executeToolIdempotent(
    userId: string,
    sessionId: string,
    goalId: string,
    toolName: string,
    toolInput: unknown,
    idempotencyKey?: string | null,
    options: ExecuteOptions = {},
  ): Result<"execute_tool_idempotent"> {
    if (typeof idempotencyKey === "string" && isBlank(idempotencyKey)) {
      return Promise.reject(new TypeError(`idempotency_key ${BLANK_KEY}`));
    }
    const refused = notJson(toolInput);
    if (refused) return refused;
    const { lease, leaseMs, waitMs = 0, claimId, onMismatch } = options;
    const params = {
      user_id: userId,
      session_id: sessionId,
      goal_id: goalId,
      tool_name: toolName,
      tool_input: toolInput,
      idempotency_key: idempotencyKey ?? null,
      lease: lease ?? null,
      lease_ms: leaseMs ?? null,
      wait_ms: waitMs,
      // A retry of a claim gets the lease of the first answer by this id.
      claim_id: lease ? (claimId ?? globalThis.crypto.randomUUID()) : null,
      on_mismatch: onMismatch ?? null,
    };
    return this.#repeatable("execute_tool_idempotent", params, options, waitMs);
  }

  getToolExecution(id: string, options?: CallOptions): Result<"get_tool_execution"> {
    return this.#repeatable("get_tool_execution", { id }, options);
  }

  /** The execution that holds a key now, or null. Pass `userId` if several users use the same key. */
  findByIdempotencyKey(key: string, options: CallOptions & { userId?: string } = {}): Result<"find_by_idempotency_key"> {
    return this.#repeatable("find_by_idempotency_key", { key, user_id: options.userId ?? null }, options);
  }

  /** Refused (`LEASE_LOST`) if the execution ever had a lease. */
  updateToolExecution(execution: wire.ToolExecution, options: UpdateOptions = {}): Result<"update_tool_execution"> {
    return this.#once("update_tool_execution", { execution, if_updated_at: options.ifUpdatedAt ?? null }, options);
  }

  listToolExecutions(goalId: string, options?: CallOptions): Result<"list_tool_executions"> {
    return this.#repeatable("list_tool_executions", { goal_id: goalId }, options);
  }

  /** The executions of a session, oldest first. `after` is the id of the last one that you have seen. */
  listSessionExecutions(
    sessionId: string,
    options: CallOptions & { limit?: number; after?: string } = {},
  ): Result<"list_session_executions"> {
    const { limit, after } = options;
    return this.#repeatable("list_session_executions", { session_id: sessionId, limit: limit ?? null, after: after ?? null }, options);
  }

  /** Executions by filter, newest first; pass `next` back as `cursor` for the next page. */
  listExecutions(filter: ExecutionFilter = {}, options?: CallOptions): Result<"list_executions"> {
    const { userId, sessionId, goalId, status, toolName, origin, after, before, limit, cursor } = filter;
    const params: Params<"list_executions"> = {
      user_id: userId ?? null,
      session_id: sessionId ?? null,
      goal_id: goalId ?? null,
      status: status ?? null,
      tool_name: toolName ?? null,
      origin: origin ?? null,
      after: after ?? null,
      before: before ?? null,
      limit: limit ?? null,
      cursor: cursor ?? null,
    };
    return this.#repeatable("list_executions", params, options);
  }

  /** Records the outcome of a leased execution. May be repeated with the same outcome. */
  finishToolExecution(
    lease: string,
    outcome: wire.Outcome,
    record: { output?: unknown; error?: string } = {},
    options?: CallOptions,
  ): Result<"finish_tool_execution"> {
    return this.#repeatable("finish_tool_execution", { lease, outcome, ...record }, options);
  }

  /** Extends a lease, and revives an execution that is in doubt because its lease expired. */
  extendLease(lease: string, leaseMs?: number, options?: CallOptions): Result<"extend_lease"> {
    return this.#repeatable("extend_lease", { lease, lease_ms: leaseMs ?? null }, options);
  }

  /** Settles by evidence an execution that is in doubt at this attempt. */
  resolveToolExecution(
    id: string,
    attempt: number,
    verdict: wire.Verdict,
    evidence: string,
    options: CallOptions & { output?: unknown } = {},
  ): Result<"resolve_tool_execution"> {
    const output = options.output === undefined ? {} : { output: options.output };
    return this.#once("resolve_tool_execution", { id, attempt, verdict, evidence, ...output }, options);
  }

  /** Waits until an execution has ended or is in doubt. After the timeout, returns it as it is. */
  awaitToolExecution(id: string, timeoutMs: number, options?: CallOptions): Result<"await_tool_execution"> {
    return this.#repeatable("await_tool_execution", { id, timeout_ms: timeoutMs }, options, timeoutMs);
  }

  createMemory(
    userId: string,
    content: string,
    importance?: wire.Importance | null,
    tags?: string[] | null,
    options?: CallOptions,
  ): Result<"create_memory"> {
    const params = { user_id: userId, content, importance: importance ?? null, tags: tags ?? null };
    return this.#once("create_memory", params, options);
  }

  getMemory(id: string, options?: CallOptions): Result<"get_memory"> {
    return this.#repeatable("get_memory", { id }, options);
  }

  updateMemory(memory: wire.Memory, options: UpdateOptions = {}): Result<"update_memory"> {
    return this.#once("update_memory", { memory, if_updated_at: options.ifUpdatedAt ?? null }, options);
  }

  /** Newest first. `limit` defaults to 50. */
  listMemories(userId: string, limit?: number | null, options?: CallOptions): Result<"list_memories"> {
    return this.#repeatable("list_memories", { user_id: userId, limit: limit ?? null }, options);
  }

  createChannel(
    userId: string,
    channelType: wire.ChannelType,
    channelName: string,
    channelIdentifier: string,
    options?: CallOptions,
  ): Result<"create_channel"> {
    const params = {
      user_id: userId,
      channel_type: channelType,
      channel_name: channelName,
      channel_identifier: channelIdentifier,
    };
    return this.#once("create_channel", params, options);
  }

  getChannel(id: string, options?: CallOptions): Result<"get_channel"> {
    return this.#repeatable("get_channel", { id }, options);
  }

  updateChannel(channel: wire.Channel, options: UpdateOptions = {}): Result<"update_channel"> {
    return this.#once("update_channel", { channel, if_updated_at: options.ifUpdatedAt ?? null }, options);
  }

  listChannels(userId: string, options?: CallOptions): Result<"list_channels"> {
    return this.#repeatable("list_channels", { user_id: userId }, options);
  }

  /** The audit log, oldest first. `after` is the number of the last event that you have seen. */
  listEvents(
    filter: { executionId?: string; sessionId?: string; after?: number; limit?: number } = {},
    options?: CallOptions,
  ): Result<"list_events"> {
    const { executionId, sessionId, after, limit } = filter;
    const params = {
      execution_id: executionId ?? null,
      session_id: sessionId ?? null,
      after: after ?? null,
      limit: limit ?? null,
    };
    return this.#repeatable("list_events", params, options);
  }

  /** Sessions with counts of their calls, the latest activity first. Params are as on the wire. */
  listSessionSummaries(
    filter: Params<"list_session_summaries"> = {},
    options?: CallOptions,
  ): Result<"list_session_summaries"> {
    return this.#repeatable("list_session_summaries", filter, options);
  }

  getSessionSummary(id: string, options?: CallOptions): Result<"get_session_summary"> {
    return this.#repeatable("get_session_summary", { id }, options);
  }

  /** Executions without bodies, newest first. Params are as on the wire. A short page may have a `next`. */
  searchExecutions(
    filter: Params<"search_executions"> = {},
    options?: CallOptions,
  ): Result<"search_executions"> {
    return this.#repeatable("search_executions", filter, options);
  }

  /** Everything that is stored of an execution; each text up to `textBytes` (default 65,536). */
  getExecutionDetail(
    id: string,
    textBytes: number | null = null,
    options?: CallOptions,
  ): Result<"get_execution_detail"> {
    return this.#repeatable("get_execution_detail", { id, text_bytes: textBytes }, options);
  }

  /** The newest execution like this one that was recorded before it, and where they differ. */
  compareExecution(id: string, options?: CallOptions): Result<"compare_execution"> {
    return this.#repeatable("compare_execution", { id }, options);
  }

  /** Tool calls of the last hour, per minute. */
  getActivity(options?: CallOptions): Result<"get_activity"> {
    return this.#repeatable("get_activity", {}, options);
  }

  getStats(options?: CallOptions): Result<"get_stats"> {
    return this.#repeatable("get_stats", {}, options);
  }

  /** The engine's OpenRPC document. */
  discover(options?: CallOptions): Result<"rpc.discover"> {
    return this.#repeatable("rpc.discover", {}, options);
  }

  /** For methods where twice is the same as once. `waitMs` is how long the engine may wait. */
  #repeatable<M extends keyof wire.Methods>(
    method: M,
    params: Params<M>,
    options: CallOptions = {},
    waitMs = 0,
  ): Result<M> {
    return this.#transport.call(method, params, true, options, waitMs);
  }

  /** For methods where twice is not the same as once. */
  #once<M extends keyof wire.Methods>(method: M, params: Params<M>, options: CallOptions = {}): Result<M> {
    return this.#transport.call(method, params, false, options);
  }
}

/** The rejection of a call whose input JSON cannot carry. */
function notJson(toolInput: unknown): Promise<never> | undefined {
  try {
    assertJson(toolInput, "tool_input");
    return undefined;
  } catch (error) {
    return Promise.reject(error);
  }
}
