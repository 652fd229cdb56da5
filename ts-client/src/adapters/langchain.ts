import { createMiddleware, ToolInvocationError, ToolMessage } from "langchain";

import { ConnectionError, isStateEngineError, NotExecutedError, RpcError, ToolFailedError } from "../errors.js";
import { runScoped, type ToolScope } from "../wrap-tools.js";

/** What is recorded of a tool's message. A replay adds only the id of the call that it answers. */
interface Recorded {
  content: ToolMessage["content"];
  artifact?: unknown;
}

/** Invalid arguments, or a graph that stops to ask a person: the tool starts from the beginning later. */
const hadNoEffect = (error: unknown) =>
  ToolInvocationError.isInstance(error) || (error instanceof Error && error.name === "GraphInterrupt");

/**
 * A middleware for `createAgent` that makes each tool call take effect once. `only` names the tools to
 * guard; the default is all. The model gets a tool error if a call is in doubt, failed or in progress.
 * If the engine cannot be reached, the run ends before the tool is called.
 */
export function durable(scope: ToolScope & { only?: readonly string[] }) {
  const { only, ...rest } = scope;
  const classify: ToolScope["classify"] = (error) =>
    hadNoEffect(error) ? "not_executed" : (scope.classify?.(error) ?? "unknown");
  return createMiddleware({
    name: "OpenclawStateEngine",
    wrapToolCall: async (request, handler) => {
      const { name, args: input, id } = request.toolCall;
      if (only !== undefined && !only.includes(name)) return handler(request);
      const answeredCall = { name, tool_call_id: id ?? "" };
      try {
        const call = { tool: name, input, callId: id };
        const recorded = await runScoped<Recorded>({ ...rest, classify }, call, async () => {
          const message = await handler(request);
          if (!ToolMessage.isInstance(message)) throw new Error(`${name} returned a command: use \`only\` to leave it out`);
          const { content, artifact, status } = message;
          if (status === "error") throw new ToolFailedError(message.text);
          return artifact === undefined ? { content } : { content, artifact };
        });
        return new ToolMessage({ ...recorded, ...answeredCall });
      } catch (error) {
        if (error instanceof NotExecutedError && hadNoEffect(error.cause)) throw error.cause;
        if (!isStateEngineError(error) || error instanceof ConnectionError || error instanceof RpcError) throw error;
        return new ToolMessage({ content: error.message, status: "error", ...answeredCall });
      }
    },
  });
}
