import { createMiddleware, ToolInvocationError, ToolMessage } from "langchain";

import { ConnectionError, isStateEngineError, NotExecutedError, RpcError, ToolFailedError } from "../errors.js";
import { runScoped, type ToolScope } from "../wrap-tools.js";

/** What a tool's message said: all that a replay needs, but for the id of the call it answers. */
interface Kept {
  content: ToolMessage["content"];
  artifact?: unknown;
}

/** Arguments that do not fit, and a graph that stops to ask a person and begins the tool anew later. */
const isBefore = (error: unknown) =>
  ToolInvocationError.isInstance(error) || (error instanceof Error && error.name === "GraphInterrupt");

/**
 * A middleware for `createAgent`: each tool call takes effect once. `only` names the tools that are
 * guarded; unless given, all are. What a model should know (in doubt, failed, in progress) comes back
 * as a tool error; an engine that cannot be reached ends the run before the tool is called.
 */
export function durable(scope: ToolScope & { only?: readonly string[] }) {
  const { only, ...rest } = scope;
  const classify: ToolScope["classify"] = (error) =>
    isBefore(error) ? "not_executed" : (scope.classify?.(error) ?? "unknown");
  return createMiddleware({
    name: "OpenclawStateEngine",
    wrapToolCall: async (request, handler) => {
      const { name, args: input, id } = request.toolCall;
      if (only !== undefined && !only.includes(name)) return handler(request);
      const answers = { name, tool_call_id: id ?? "" };
      try {
        const call = { tool: name, input, callId: id };
        const kept = await runScoped<Kept>({ ...rest, classify }, call, async () => {
          const message = await handler(request);
          if (!ToolMessage.isInstance(message)) throw new Error(`${name} returned a command: leave it out by \`only\``);
          const { content, artifact, status } = message;
          if (status === "error") throw new ToolFailedError(message.text);
          return artifact === undefined ? { content } : { content, artifact };
        });
        return new ToolMessage({ ...kept, ...answers });
      } catch (error) {
        if (error instanceof NotExecutedError && isBefore(error.cause)) throw error.cause;
        if (!isStateEngineError(error) || error instanceof ConnectionError || error instanceof RpcError) throw error;
        return new ToolMessage({ content: error.message, status: "error", ...answers });
      }
    },
  });
}
