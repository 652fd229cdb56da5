import type { StateApi } from "./api.js";
import {
  InDoubtError,
  InProgressError,
  isStateEngineError,
  NotExecutedError,
  RpcError,
  ToolFailedError,
} from "./errors.js";
import { aborted } from "./transport.js";
import type { Outcome, ToolExecution } from "./wire.js";

/** A tool call that is to take effect once. */
export interface RunToolCall {
  userId: string;
  sessionId: string;
  goalId: string;
  /** The tool's name. */
  tool: string;
  /** What it is called with: any JSON. */
  input: unknown;
  /** Names the call within the user. Left out, the engine derives it from session, goal, tool and input. */
  key?: string | undefined;
}

/** How a tool call is guarded. */
export interface RunToolOptions {
  /** Milliseconds without a heartbeat after which the call is in doubt; 60,000, at least 1,000. */
  leaseMs?: number | undefined;
  /** Milliseconds to wait for another caller who runs the same call; 300,000. */
  waitMs?: number | undefined;
  /** Given up before the tool runs; a tool that runs gets it as `context.signal`. */
  signal?: AbortSignal | undefined;
  /**
   * What a thrown error says of the effect. Unless given, `unknown`: a thrown timeout is no "no".
   * `ToolFailedError` and `NotExecutedError` always say `executed` and `not_executed`.
   */
  classify?: ((error: unknown) => Outcome) | undefined;
}

/** What a tool function is told. */
export interface ToolContext {
  executionId: string;
  /** The number of this dispatch, from 1. */
  attempt: number;
  /** The execution's key: hand it on to a tool that takes one of its own. */
  key: string;
  /** Aborted when the caller gives up, or when somebody else has settled this call. */
  signal: AbortSignal;
}

/** One wait on the engine; longer ones are made of several. */
const SLICE_MS = 25_000;
/** Neither the outcome of a tool that ran nor those who wait for it should be lost to a restart. */
const PATIENCE = { maxRetries: 8 };

/** The implementation of `StateEngineClient.runTool`. */
export async function runTool<T>(
  client: StateApi,
  call: RunToolCall,
  fn: (context: ToolContext) => T | Promise<T>,
  options: RunToolOptions,
): Promise<T> {
  const { signal, leaseMs } = options;
  if (signal?.aborted) throw aborted(signal, "no");
  // Without the signal: a claim whose answer is thrown away would leave the call in doubt.
  const claimed = await client.executeToolIdempotent(
    call.userId,
    call.sessionId,
    call.goalId,
    call.tool,
    call.input ?? null,
    call.key,
    { lease: true, onMismatch: "error", ...(leaseMs === undefined ? {} : { leaseMs }) },
  );
  if (claimed.claim === "busy") return settled(await wait(client, claimed, options)) as T;
  if (claimed.claim !== "execute" || claimed.lease === undefined) return settled(claimed) as T;
  const held = new HeldLease(client, claimed, claimed.lease, leaseMs ?? 60_000, signal);
  try {
    if (signal?.aborted) {
      await held.finish({ outcome: "not_executed", error: "given up before it began" });
      throw aborted(signal, "no");
    }
    return (await held.run(fn, options.classify)) as T;
  } finally {
    held.release();
  }
}

/** What every caller of a call gets, from its record alone. */
function settled(execution: ToolExecution, cause?: unknown): unknown {
  const { status, outcome, error, id: executionId, tool_name: tool } = execution;
  switch (status) {
    case "completed":
      return execution.output;
    case "failed":
      if (outcome === "not_executed") {
        throw new NotExecutedError(error ?? `${tool} was not executed`, { executionId, cause });
      }
      throw new ToolFailedError(error ?? `${tool} failed`, {
        executionId,
        cause,
        toolRan: outcome === "executed" ? "yes" : "unknown",
      });
    case "cancelled":
      throw new NotExecutedError(`${tool} was cancelled`, { executionId, retryable: false });
    case "in_doubt":
      throw new InDoubtError(execution, cause);
    case "pending":
    case "running":
      throw new InProgressError(execution);
  }
}

async function wait(
  client: StateApi,
  busy: ToolExecution,
  { signal, waitMs = 300_000 }: RunToolOptions,
): Promise<ToolExecution> {
  const until = performance.now() + waitMs;
  for (let left = waitMs; left > 0; left = until - performance.now()) {
    const options = signal === undefined ? PATIENCE : { ...PATIENCE, signal };
    let now: ToolExecution;
    try {
      now = await client.awaitToolExecution(busy.id, Math.ceil(Math.min(left, SLICE_MS)), options);
    } catch (error) {
      // Why the question got no answer says nothing of the tool, which somebody else runs.
      throw new InProgressError(busy, error);
    }
    if (now.status !== "running" && now.status !== "pending") return now;
  }
  throw new InProgressError(busy);
}

type Told = { outcome: Outcome; output?: unknown; error?: string };

/** A claimed call: kept alive while the tool runs, and recorded before its result is handed on. */
class HeldLease {
  readonly #client: StateApi;
  readonly #execution: ToolExecution;
  readonly #lease: string;
  readonly #stop = new AbortController();
  readonly #signal: AbortSignal | undefined;
  readonly #timer: ReturnType<typeof setInterval>;
  readonly #onAbort = () => this.#stop.abort(this.#signal?.reason);

  constructor(
    client: StateApi,
    execution: ToolExecution,
    lease: string,
    leaseMs: number,
    signal: AbortSignal | undefined,
  ) {
    this.#client = client;
    this.#execution = execution;
    this.#lease = lease;
    this.#signal = signal;
    signal?.addEventListener("abort", this.#onAbort, { once: true });
    this.#timer = setInterval(() => void this.#beat(leaseMs), leaseMs / 3);
  }

  /** Runs the tool, records what became of it, and only then tells it. */
  async run(
    fn: (context: ToolContext) => unknown,
    classify: ((error: unknown) => Outcome) | undefined,
  ): Promise<unknown> {
    const { id, attempt, idempotency_key: key } = this.#execution;
    let told: Told;
    let cause: unknown;
    try {
      const context = { executionId: id, attempt, key: key ?? id, signal: this.#stop.signal };
      told = { outcome: "executed", ...kept(await fn(context)) };
    } catch (error) {
      cause = error;
      told = { outcome: outcomeOf(error, classify), error: messageOf(error) };
    }
    let execution: ToolExecution;
    try {
      execution = await this.finish(told);
    } catch (error) {
      // The tool was run and nobody could write down how it ended.
      throw new InDoubtError(this.#execution, error);
    }
    return settled(execution, cause);
  }

  /** Records an outcome; the execution as it stands then, also where somebody settled it before. */
  async finish(told: Told): Promise<ToolExecution> {
    const { outcome, output, error } = told;
    const record = { ...(output === undefined ? {} : { output }), ...(error === undefined ? {} : { error }) };
    try {
      return await this.#client.finishToolExecution(this.#lease, outcome, record, PATIENCE);
    } catch (refusal) {
      if (!(refusal instanceof RpcError)) throw refusal;
      if (refusal.code === "STALE") return this.#client.getToolExecution(this.#execution.id, PATIENCE);
      if ((refusal.code === "LIMIT" || refusal.code === "INVALID_PARAMS") && output !== undefined) {
        return this.finish({ outcome, error: `it ran, and its result cannot be kept: ${refusal.message}` });
      }
      throw refusal;
    }
  }

  release(): void {
    clearInterval(this.#timer);
    this.#signal?.removeEventListener("abort", this.#onAbort);
  }

  async #beat(leaseMs: number): Promise<void> {
    try {
      await this.#client.extendLease(this.#lease, leaseMs, { maxRetries: 0, timeout: leaseMs / 3 });
    } catch (error) {
      // Without the engine the next beat tries again; a settled call is the tool's affair to stop.
      if (error instanceof RpcError && error.code === "LEASE_LOST") {
        clearInterval(this.#timer);
        this.#stop.abort(error);
      }
    }
  }
}

/** A result as its duplicates will see it; one that is no JSON is told as a failure that acted. */
function kept(result: unknown): { output?: unknown; error?: string } {
  try {
    if (result === undefined) return {};
    const text = JSON.stringify(result);
    if (text === undefined) throw new TypeError(`a ${typeof result} is no JSON`);
    return { output: JSON.parse(text) };
  } catch (error) {
    return { error: `it ran, and its result cannot be kept: ${messageOf(error)}` };
  }
}

function outcomeOf(error: unknown, classify: ((error: unknown) => Outcome) | undefined): Outcome {
  // One with an execution is about another call that the tool made, and no word about this one.
  if (isStateEngineError(error) && error.executionId === undefined) {
    if (error.code === "NOT_EXECUTED") return "not_executed";
    if (error.code === "TOOL_FAILED") return "executed";
  }
  return classify?.(error) ?? "unknown";
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message || error.name : String(error);
}
