import type { ToolExecution } from "./wire.js";

/**
 * What is known of the tool call that an error is about: `no`, it did not act and may be tried
 * again; `yes`, it acted; `unknown`, it may have acted, and must be looked up before it is repeated.
 */
export type ToolRan = "no" | "yes" | "unknown";

/** What every error tells. */
export interface ErrorFacts {
  /** A stable word; those of the engine are explained in docs/FAILURE_CONTRACT.md. */
  code: string;
  /** The same call may succeed later, and repeating it cannot act twice. */
  retryable: boolean;
  toolRan: ToolRan;
  executionId?: string | undefined;
  cause?: unknown;
}

// By the registry, so that two copies of this package in one program know each other's errors.
const BRAND = Symbol.for("openclaw-state-engine.error");

/** The base of every error that this client throws by itself. */
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

/** Whether `error` is one of this package, also of another copy of it. */
export function isStateEngineError(error: unknown): error is StateEngineError {
  return typeof error === "object" && error !== null && BRAND in error;
}

/**
 * No answer of the engine that could be used. `CONNECTION`: none came; `TIMEOUT`: none came in time;
 * `ABORTED`: the caller's signal; `BAD_ANSWER`: something else than the engine answered.
 */
export class ConnectionError extends StateEngineError {
  /** The HTTP status, where an answer came. */
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

/** The engine's own refusal: `code` is its `data.code`, such as `NOT_FOUND` or `CONFLICT`. */
export class RpcError extends StateEngineError {
  /** The JSON-RPC error number. */
  readonly number: number;
  /** What else the engine told: `field`, `id`, `from`, … */
  readonly data: Readonly<Record<string, unknown>>;

  constructor(message: string, number: number, data: Record<string, unknown>) {
    const code = typeof data.code === "string" ? data.code : String(number);
    super(message, {
      code,
      retryable: LATER.has(code),
      toolRan: UNSURE.has(code) ? "unknown" : "no",
      executionId: typeof data.execution_id === "string" ? data.execution_id : undefined,
    });
    this.number = number;
    this.data = data;
  }
}

/** Codes after which nothing was changed, and the same call may succeed later. */
const LATER = new Set(["BUSY", "BODY_STALLED", "STORE_FULL"]);
/** Codes that say nothing about whether a tool ran. */
const UNSURE = new Set(["INTERNAL", "STALE", "LEASE_LOST"]);

/**
 * The call may already have taken effect. It is not run again until somebody settles it:
 * `resolveToolExecution`, `openclaw-state-engine resolve`, or the dashboard.
 */
export class InDoubtError extends StateEngineError {
  readonly execution: ToolExecution;

  constructor(execution: ToolExecution, cause?: unknown) {
    const { id, tool_name: tool, attempt, started_at: began } = execution;
    const said = cause instanceof Error ? ` It ended with: ${cause.message}.` : "";
    super(
      `${tool} may already have taken effect: attempt ${attempt} began at ${began ?? "an unknown time"} ` +
        `and its outcome is unknown.${said} Do not simply call it again: look whether it happened, ` +
        `then settle execution ${id} (openclaw-state-engine resolve ${id} --ran or --did-not-run).`,
      { code: "IN_DOUBT", retryable: false, toolRan: "unknown", executionId: id, cause },
    );
    this.execution = execution;
  }
}

/**
 * The tool ran and reported a failure; its duplicates get the same failure. A tool function throws
 * it to say just that.
 */
export class ToolFailedError extends StateEngineError {
  constructor(message: string, facts: Partial<Omit<ErrorFacts, "code">> = {}) {
    super(message, { retryable: false, toolRan: "yes", ...facts, code: "TOOL_FAILED" });
  }
}

/**
 * The tool had no effect, and the next identical call runs it. A tool function throws it to say just
 * that; only do so where nothing can have happened (refused input, connection never made).
 */
export class NotExecutedError extends StateEngineError {
  constructor(message: string, facts: Partial<Omit<ErrorFacts, "code" | "toolRan">> = {}) {
    super(message, { retryable: true, ...facts, toolRan: "no", code: "NOT_EXECUTED" });
  }
}

/** Somebody else runs this call and did not end within the wait. Calling again waits again. */
export class InProgressError extends StateEngineError {
  constructor(execution: ToolExecution, cause?: unknown) {
    super(
      `${execution.tool_name} is being run by another caller (execution ${execution.id}) and ` +
        (cause === undefined
          ? "did not end in time: call again to wait on, or raise waitMs"
          : "how it ends could not be learned: call again to wait on"),
      { code: "IN_PROGRESS", retryable: true, toolRan: "unknown", executionId: execution.id, cause },
    );
  }
}
