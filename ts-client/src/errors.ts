import type { Outcome, ToolExecution } from "./wire.js";

/**
 * What is known about the tool call that an error is about. `no`: it had no effect and may be tried
 * again. `yes`: it took effect. `unknown`: it may have taken effect; check before you repeat it.
 */
export type ToolRan = "no" | "yes" | "unknown";

/** What every error carries. */
export interface ErrorFacts {
  /** A stable code; docs/FAILURE_CONTRACT.md explains the engine's codes. */
  code: string;
  /** Whether the same call may succeed later, and a repeat cannot take effect twice. */
  retryable: boolean;
  toolRan: ToolRan;
  executionId?: string | undefined;
  cause?: unknown;
}

// From the global symbol registry, so that two copies of this package recognize each other's errors.
const BRAND = Symbol.for("openclaw-state-engine.error");

/** The base class of every error that this client creates. */
export class StateEngineError extends Error {
  readonly code: string;
  readonly retryable: boolean;
  readonly toolRan: ToolRan;
  readonly executionId: string | undefined;

  constructor(message: string, facts: ErrorFacts) {
    super(message, facts.cause === undefined ? undefined : { cause: facts.cause });
    this.name = new.target.name;
    this.code = facts.code;
    this.retryable = facts.retryable;
    this.toolRan = facts.toolRan;
    this.executionId = facts.executionId;
  }

  get [BRAND](): true {
    return true;
  }
}

/** Whether `error` comes from this package, or from another copy of it. */
export function isStateEngineError(error: unknown): error is StateEngineError {
  return typeof error === "object" && error !== null && BRAND in error;
}

/**
 * The client got no usable answer from the engine. `CONNECTION`: there was no answer. `TIMEOUT`: there
 * was none in time. `ABORTED`: the caller's signal ended the call. `BAD_ANSWER`: the answer is not the
 * engine's.
 */
export class ConnectionError extends StateEngineError {
  /** The HTTP status, if there was an answer. */
  readonly status: number | undefined;

  constructor(
    message: string,
    facts: Omit<ErrorFacts, "code"> & {
      code: "CONNECTION" | "TIMEOUT" | "ABORTED" | "BAD_ANSWER";
      status?: number;
    },
  ) {
    super(message, facts);
    this.status = facts.status;
  }
}

/** The engine refused the call. `code` is its `data.code`, such as `NOT_FOUND` or `CONFLICT`. */
export class RpcError extends StateEngineError {
  /** The JSON-RPC error number. */
  readonly number: number;
  /** The details that the engine sent: `field`, `id`, `from`, … */
  readonly data: Readonly<Record<string, unknown>>;

  constructor(message: string, number: number, data: Record<string, unknown>) {
    const code = typeof data.code === "string" ? data.code : String(number);
    super(message, {
      code,
      retryable: RETRYABLE.has(code),
      toolRan: EFFECT_UNKNOWN.has(code) ? "unknown" : "no",
      executionId: typeof data.execution_id === "string" ? data.execution_id : undefined,
    });
    this.number = number;
    this.data = data;
  }
}

/** Codes of calls that changed nothing and may succeed later. */
const RETRYABLE = new Set(["BUSY", "BODY_STALLED", "STORE_FULL"]);
/** Codes that do not show whether a tool ran. */
const EFFECT_UNKNOWN = new Set(["INTERNAL", "STALE", "LEASE_LOST"]);

/**
 * The call may already have taken effect. It does not run again until someone settles it with
 * `resolveToolExecution`, `openclaw-state-engine resolve` or the dashboard.
 */
export class InDoubtError extends StateEngineError {
  readonly execution: ToolExecution;

  constructor(execution: ToolExecution, cause?: unknown, facts: { message?: string; toolRan?: ToolRan } = {}) {
    const { id, tool_name: tool, attempt, started_at: startedAt } = execution;
    const ending = cause instanceof Error ? ` It ended with: ${cause.message}.` : "";
    super(
      facts.message ??
        `${tool} may already have taken effect: attempt ${attempt} started at ${startedAt ?? "an unknown time"} ` +
        `and its outcome is unknown.${ending} Do not call it again yet. Check whether it happened, ` +
        `then settle execution ${id} (openclaw-state-engine resolve ${id} --ran or --did-not-run).`,
      { code: "IN_DOUBT", retryable: false, toolRan: facts.toolRan ?? "unknown", executionId: id, cause },
    );
    this.execution = execution;
  }
}

/**
 * The tool ended, but the engine could not record how. `outcome`, `output` and `error` say what the
 * caller knows and the engine does not: for the engine, the call is in doubt.
 */
export class UnrecordedError extends InDoubtError {
  readonly outcome: Outcome;
  /** What the tool returned. */
  readonly output: unknown;
  /** How the tool failed. */
  readonly error: string | undefined;

  constructor(execution: ToolExecution, ending: { outcome: Outcome; output?: unknown; error?: string }, cause?: unknown) {
    const { outcome, output, error } = ending;
    const toolRan = ({ executed: "yes", not_executed: "no", unknown: "unknown" } as const)[outcome];
    const { id, tool_name: tool } = execution;
    const ran = { yes: "ran", no: "did not run", unknown: "may have run" }[toolRan];
    const ended = error === undefined ? `returned ${shown(output)}` : `ended with: ${error}`;
    const verdict = { yes: "--ran", no: "--did-not-run", unknown: "--ran or --did-not-run" }[toolRan];
    const message =
      `${tool} ${ran} and ${ended}, but the engine could not be reached to record it. Do not call it again: ` +
      `settle execution ${id} first (openclaw-state-engine resolve ${id} ${verdict}).`;
    super(execution, cause, { message, toolRan });
    this.outcome = outcome;
    this.output = output;
    this.error = error;
  }
}

/** The most characters of a result in a message. */
const SHOWN = 500;

function shown(output: unknown): string {
  const text = JSON.stringify(output) ?? "nothing";
  return text.length > SHOWN ? `${text.slice(0, SHOWN)}…` : text;
}

/**
 * The tool ran and reported a failure. Its duplicates get the same failure. A tool function can throw
 * this error to report exactly that.
 */
export class ToolFailedError extends StateEngineError {
  constructor(message: string, facts: Partial<Omit<ErrorFacts, "code">> = {}) {
    super(message, { retryable: false, toolRan: "yes", ...facts, code: "TOOL_FAILED" });
  }
}

/**
 * The tool had no effect, and the next identical call runs it. A tool function can throw this error,
 * but only if nothing can have happened: the input was refused, or there was never a connection.
 */
export class NotExecutedError extends StateEngineError {
  constructor(message: string, facts: Partial<Omit<ErrorFacts, "code" | "toolRan">> = {}) {
    super(message, { retryable: true, ...facts, toolRan: "no", code: "NOT_EXECUTED" });
  }
}

/** Another caller runs this call and did not finish within the wait. Calling again waits again. */
export class InProgressError extends StateEngineError {
  constructor(execution: ToolExecution, cause?: unknown) {
    super(
      `${execution.tool_name} is being run by another caller (execution ${execution.id}), and ` +
        (cause === undefined
          ? "did not finish in time: call again to keep waiting, or raise waitMs"
          : "its outcome could not be read: call again to keep waiting"),
      { code: "IN_PROGRESS", retryable: true, toolRan: "unknown", executionId: execution.id, cause },
    );
  }
}
