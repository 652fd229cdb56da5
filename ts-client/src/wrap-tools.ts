import type { StateEngineClient } from "./client.js";
import { runTool, type RunToolOptions } from "./run-tool.js";

/** A framework's call of a wrapped tool. */
export interface WrappedCall {
  tool: string;
  input: unknown;
  /** The framework's id of this call, if it has one. */
  callId: string | undefined;
}

/** The scope of the calls of wrapped tools, and how they are guarded. */
export interface ToolScope extends Omit<RunToolOptions, "signal"> {
  client: StateEngineClient;
  userId: string;
  sessionId: string;
  goalId: string;
  /**
   * Returns the idempotency key of a call. By default the same tool with the same input is the same call
   * within the goal. `({ callId }) => callId` distinguishes equal calls, if the framework keeps its ids
   * across a restart.
   */
  key?: ((call: WrappedCall) => string | undefined) | undefined;
}

/** Runs a framework's tool call with `runTool` in `scope`. For adapters. */
export function runScoped<T>(
  scope: ToolScope,
  call: WrappedCall,
  fn: () => T | Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  const { client, userId, sessionId, goalId, key, ...options } = scope;
  const { tool, input } = call;
  return runTool(client, { userId, sessionId, goalId, tool, input, key: key?.(call) }, fn, { ...options, signal });
}

/**
 * Makes each tool of a map run at most once for the same call. A tool is a function or an object with
 * `execute(input, …)`. The input of a function is its argument, or the list of its arguments if there
 * are several. An object without `execute` is left unchanged; if it has `invoke` or `func`, which would
 * run unguarded, it is refused with a `TypeError`.
 */
export function wrapTools<T extends Record<string, unknown>>(tools: T, scope: ToolScope): T {
  return Object.fromEntries(
    Object.entries(tools).map(([name, tool]) => [name, wrapTool(name, tool, scope)]),
  ) as T;
}

type Callable = (...args: unknown[]) => unknown;

function wrapTool(name: string, tool: unknown, scope: ToolScope): unknown {
  if (typeof tool === "function") {
    return (...args: unknown[]) => {
      // `f(1, undefined)` is `f(1)`.
      const given = args.slice(0, args.findLastIndex((one) => one !== undefined) + 1);
      const input = given.length > 1 ? given : given[0];
      return runScoped(scope, { tool: name, input, callId: undefined }, () => (tool as Callable)(...args));
    };
  }
  if (typeof tool !== "object" || tool === null) throw new TypeError(`${name} is not a tool`);
  const { execute, invoke, func } = tool as Record<string, unknown>;
  if (typeof execute === "function") {
    const guarded = (input: unknown, ...rest: unknown[]) => {
      const { toolCallId, abortSignal } = (rest[0] ?? {}) as { toolCallId?: unknown; abortSignal?: AbortSignal };
      const callId = typeof toolCallId === "string" ? toolCallId : undefined;
      return runScoped(
        scope,
        { tool: name, input, callId },
        () => (execute as Callable).call(tool, input, ...rest),
        abortSignal,
      );
    };
    return Object.create(Object.getPrototypeOf(tool) as object, {
      ...Object.getOwnPropertyDescriptors(tool),
      execute: { value: guarded, enumerable: true, writable: true, configurable: true },
    });
  }
  if (typeof invoke === "function" || typeof func === "function") {
    throw new TypeError(`${name} has no execute: use the adapter of its framework, or wrap its function`);
  }
  return tool;
}
