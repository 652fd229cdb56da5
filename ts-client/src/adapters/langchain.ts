import { createMiddleware, ToolMessage } from "langchain";

import { ConnectionError, isStateEngineError, RpcError } from "../errors.js";
import { runScoped, type ToolScope } from "../wrap-tools.js";

/** What a tool's message said: all that a replay needs, but for the id of the call it answers. */
interface Kept {
  content: ToolMessage["content"];
  artifact?: unknown;
}

/**
 * A middleware for `createAgent`: each tool call takes effect once. `only` names the tools that are
 * guarded; unless given, all are. What a model should know (in doubt, failed, in progress) comes back
 * as a tool error; an engine that cannot be reached ends the run before the tool is called.
 */
export function durable(scope: ToolScope & { only?: readonly string[] }) {
  const { only, ...rest } = scope;
  return createMiddleware({
    name: "OpenclawStateEngine",
    wrapToolCall: async (request, handler) => {
      const { name, args: input, id } = request.toolCall;
      if (only !== undefined && !only.includes(name)) return handler(request);
      const answers = { name, tool_call_id: id ?? "" };
      try {
        const kept = await runScoped<Kept>(rest, { tool: name, input, callId: id }, async () => {
          const message = await handler(request);
          if (!ToolMessage.isInstance(message)) throw new Error(`${name} returned a command: leave it out by \`only\``);
          // The framework turns what a tool throws into text; what became of the effect is not told.
          if (message.status === "error") throw new Error(message.text);
          const { content, artifact } = message;
          return artifact === undefined ? { content } : { content, artifact };
        });
        return new ToolMessage({ ...kept, ...answers });
      } catch (error) {
        if (!isStateEngineError(error) || error instanceof ConnectionError || error instanceof RpcError) throw error;
        return new ToolMessage({ content: error.message, status: "error", ...answers });
      }
    },
  });
}
