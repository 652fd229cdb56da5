import { type RunContext, tool } from "@openai/agents";

import { isStateEngineError } from "../errors.js";
import { runScoped, type ToolScope } from "../wrap-tools.js";

type Run = (input: unknown, context?: RunContext, details?: { toolCall?: { callId?: string }; signal?: AbortSignal }) => unknown;

/**
 * The SDK's `tool()`, but each call takes effect once: `const tool = durable(scope)`, then
 * `tool({ name, description, parameters, execute })` as usual. For a call in doubt, the model gets this
 * package's message instead of "please try again". Your own `errorFunction` replaces that.
 */
export function durable(scope: ToolScope): typeof tool {
  const guarded = (options: Parameters<typeof tool>[0]) => {
    const run = options.execute as Run;
    const execute: Run = (input, context, details) => {
      const call = { tool: options.name ?? run.name, input, callId: details?.toolCall?.callId };
      return runScoped(scope, call, () => run(input, context, details), details?.signal);
    };
    const errorFunction = (_context: RunContext, error: unknown) => {
      const kind = isStateEngineError(error) ? error.code : "error";
      return `${kind}: ${error instanceof Error ? error.message : String(error)}`;
    };
    return tool({ errorFunction, ...options, execute } as Parameters<typeof tool>[0]);
  };
  return guarded as typeof tool;
}
