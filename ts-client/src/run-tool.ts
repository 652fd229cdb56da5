import type { StateApi } from "./api.js";
import {
  InDoubtError,
  InProgressError,
  isStateEngineError,
  NotExecutedError,
  RpcError,
  ToolFailedError,
  UnrecordedError,
} from "./errors.js";
import { delayMs } from "./retry.js";
import { aborted, type CallOptions } from "./transport.js";
import type { Outcome, ToolExecution } from "./wire.js";

/** A tool call that is meant to take effect once. */
export interface RunToolCall {
  userId: string;
  sessionId: string;
  goalId: string;
  /** The tool's name. */
  tool: string;
  /** The tool's input: any JSON. */
  input: unknown;
  /** The idempotency key, unique per user. Default: derived from session, goal, tool and input. */
  key?: string | undefined;
}

/** How a tool call is guarded. */
export interface RunToolOptions {
  /** Milliseconds without a heartbeat after which the call is in doubt. Default 60,000, at least 1,000. */
  leaseMs?: number | undefined;
  /** Milliseconds to wait for another caller that runs the same call. Default 300,000. */
  waitMs?: number | undefined;
  /** Gives the call up if the tool does not run yet. A running tool gets the abort as `context.signal`. */
  signal?: AbortSignal | undefined;
  /**
   * Milliseconds to keep trying to record how the tool ended if the engine cannot be reached. After
   * that, or after an abort, `UnrecordedError` says how it ended; after an abort the recording goes on.
   * Default 600,000.
   */
  recordMs?: number | undefined;
  /**
   * Returns the outcome that a thrown error shows. Default: `unknown`, because the tool may have taken
   * effect before a timeout. `ToolFailedError` and `NotExecutedError` always mean `executed` and
   * `not_executed`.
   */
  classify?: ((error: unknown) => Outcome) | undefined;
}

/** What a tool function gets. */
export interface ToolContext {
  executionId: string;
  /** The number of this attempt, from 1. */
  attempt: number;
  /** The execution's idempotency key. Pass it on to an upstream that accepts idempotency keys. */
  key: string;
  /** Aborted when the caller gives up, or after someone else has settled this call. */
  signal: AbortSignal;
}

/** The longest single wait on the engine. A longer wait takes several calls. */
const WAIT_SLICE_MS = 25_000;
/** Enough retries for a restart of the engine: neither an outcome nor a waiting caller should be lost. */
const OVER_RESTART = { maxRetries: 8 };

/** How long a caller that gave up waits for the record of a tool that ended. */
const ABORTED_RECORD_MS = 5_000;

/** The implementation of `StateEngineClient.runTool`. */
export async function runTool<T>(
  client: StateApi,
  call: RunToolCall,
  fn: (context: ToolContext) => T | Promise<T>,
  options: RunToolOptions,
): Promise<T> {
  const { signal, leaseMs, recordMs = 600_000 } = options;
  if (signal?.aborted) throw aborted(signal, "no");
  // Without the signal: dropping the answer to a claim would leave the call in doubt.
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
  const held = new HeldLease(client, claimed, claimed.lease, leaseMs ?? 60_000, recordMs, signal);
  try {
    if (signal?.aborted) {
      await held.finish({ outcome: "not_executed", error: "given up before it started" });
      throw aborted(signal, "no");
    }
    return (await held.run(fn, options.classify)) as T;
  } finally {
    void held.release();
  }
}

/** What each caller gets, from the record only: the result, or an error that is thrown. */
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
    const options = signal === undefined ? OVER_RESTART : { ...OVER_RESTART, signal };
    let now: ToolExecution;
    try {
      now = await client.awaitToolExecution(busy.id, Math.ceil(Math.min(left, WAIT_SLICE_MS)), options);
    } catch (error) {
      // That the wait failed says nothing about the tool, which another caller runs.
      throw new InProgressError(busy, error);
    }
    if (now.status !== "running" && now.status !== "pending") return now;
  }
  throw new InProgressError(busy);
}

type Ending = { outcome: Outcome; output?: unknown; error?: string };

/** A claimed call: heartbeats extend its lease while the tool runs. */
class HeldLease {
  readonly #client: StateApi;
  readonly #execution: ToolExecution;
  readonly #lease: string;
  readonly #stop = new AbortController();
  readonly #recordMs: number;
  readonly #signal: AbortSignal | undefined;
  #recording: Promise<unknown> = Promise.resolve();
  readonly #timer: ReturnType<typeof setInterval>;
  readonly #onAbort = () => this.#stop.abort(this.#signal?.reason);

  constructor(
    client: StateApi,
    execution: ToolExecution,
    lease: string,
    leaseMs: number,
    recordMs: number,
    signal: AbortSignal | undefined,
  ) {
    this.#client = client;
    this.#execution = execution;
    this.#lease = lease;
    this.#recordMs = recordMs;
    this.#signal = signal;
    signal?.addEventListener("abort", this.#onAbort, { once: true });
    this.#timer = setInterval(() => void this.#heartbeat(leaseMs), leaseMs / 3);
  }

  /** Runs the tool, records its outcome, and only then returns it. */
  async run(
    fn: (context: ToolContext) => unknown,
    classify: ((error: unknown) => Outcome) | undefined,
  ): Promise<unknown> {
    const { id, attempt, idempotency_key: key } = this.#execution;
    let ending: Ending;
    let cause: unknown;
    try {
      const context = { executionId: id, attempt, key: key ?? id, signal: this.#stop.signal };
      ending = { outcome: "executed", ...recorded(await fn(context)) };
    } catch (error) {
      cause = error;
      ending = { outcome: outcomeOf(error, classify), error: messageOf(error) };
    }
    let execution: ToolExecution;
    try {
      execution = await this.#record(ending);
    } catch (error) {
      throw new UnrecordedError(this.#execution, ending, error);
    }
    return settled(execution, cause);
  }

  /** Records an outcome that is known here and nowhere else: tries until the engine answers, or `recordMs`
   * are over. An abort ends the wait, not the recording. */
  async #record(ending: Ending): Promise<ToolExecution> {
    const recording = this.#tryToRecord(ending);
    this.#recording = recording.catch(() => {});
    const signal = this.#signal;
    if (signal === undefined) return recording;
    const first = await Promise.race([recording, mayHaveStopped(recording, signal)]);
    if (first === undefined) throw aborted(signal, "unknown");
    return first;
  }

  async #tryToRecord(ending: Ending): Promise<ToolExecution> {
    const until = performance.now() + this.#recordMs;
    for (let attempt = 0; ; attempt += 1) {
      try {
        return await this.finish(ending, { maxRetries: 0 });
      } catch (error) {
        const left = until - performance.now();
        const refused = error instanceof RpcError && !error.retryable;
        if (refused || left <= 0) throw error;
        const delay = delayMs(attempt, undefined, Math.random) ?? 0;
        await new Promise((resolve) => setTimeout(resolve, Math.min(delay, left)));
      }
    }
  }

  /** Records an outcome and returns the execution. If someone settled it before, it stays as settled. */
  async finish(ending: Ending, retries: CallOptions = OVER_RESTART): Promise<ToolExecution> {
    const { outcome, output, error } = ending;
    const record = { ...(output === undefined ? {} : { output }), ...(error === undefined ? {} : { error }) };
    try {
      return await this.#client.finishToolExecution(this.#lease, outcome, record, retries);
    } catch (refusal) {
      if (!(refusal instanceof RpcError)) throw refusal;
      if (refusal.code === "STALE") return this.#client.getToolExecution(this.#execution.id, retries);
      if ((refusal.code === "LIMIT" || refusal.code === "INVALID_PARAMS") && output !== undefined) {
        const error = `the tool ran, and its result cannot be recorded: ${refusal.message}`;
        return this.finish({ outcome, error }, retries);
      }
      throw refusal;
    }
  }

  /** Keeps the lease as long as the outcome is being recorded. */
  async release(): Promise<void> {
    await this.#recording;
    clearInterval(this.#timer);
    this.#signal?.removeEventListener("abort", this.#onAbort);
  }

  async #heartbeat(leaseMs: number): Promise<void> {
    try {
      await this.#client.extendLease(this.#lease, leaseMs, { maxRetries: 0, timeout: leaseMs / 3 });
    } catch (error) {
      // If the engine is away, the next heartbeat tries again. After a lost lease the tool has to stop.
      if (error instanceof RpcError && error.code === "LEASE_LOST") {
        clearInterval(this.#timer);
        this.#stop.abort(error);
      }
    }
  }
}

/** Resolves to nothing when the caller gives up and the engine does not answer within a moment. */
async function mayHaveStopped(recording: Promise<unknown>, signal: AbortSignal): Promise<undefined> {
  let stop: () => void = () => {};
  const stopped = new Promise<void>((resolve) => {
    stop = resolve;
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", stop, { once: true });
  });
  await Promise.race([stopped, recording.catch(() => {})]);
  signal.removeEventListener("abort", stop);
  let timer: ReturnType<typeof setTimeout> | undefined;
  const moment = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ABORTED_RECORD_MS);
  });
  await Promise.race([moment, recording.catch(() => {})]);
  clearTimeout(timer);
  return undefined;
}

/** What is recorded of a result. One that is not JSON is recorded as a failure that took effect. */
function recorded(result: unknown): { output?: unknown; error?: string } {
  try {
    if (result === undefined) return {};
    const text = JSON.stringify(result);
    if (text === undefined) throw new TypeError(`a ${typeof result} is not JSON`);
    return { output: JSON.parse(text) };
  } catch (error) {
    return { error: `the tool ran, and its result cannot be recorded: ${messageOf(error)}` };
  }
}

function outcomeOf(error: unknown, classify: ((error: unknown) => Outcome) | undefined): Outcome {
  // An error with an execution id is about a call that the tool made, not about the tool's own.
  if (isStateEngineError(error) && error.executionId === undefined) {
    if (error.code === "NOT_EXECUTED") return "not_executed";
    if (error.code === "TOOL_FAILED") return "executed";
  }
  return classify?.(error) ?? "unknown";
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message || error.name : String(error);
}
