import { type ToolScope, wrapTools } from "../wrap-tools.js";

/** A map of tools, as the Vercel AI SDK accepts it. */
type Tools = Record<string, object>;

/**
 * Makes each call of Vercel AI SDK tools take effect once:
 * `generateText({ tools: durable({ sendMail }, scope) })`. If a tool yields preliminary results, only
 * the last one is recorded and returned. An error that is thrown becomes a `tool-error` for the model.
 */
export function durable<T extends Tools>(tools: T, scope: ToolScope): T {
  const unstreamed = Object.entries(tools).map(([name, tool]) => [name, withLastResult(tool)]);
  return wrapTools(Object.fromEntries(unstreamed) as T, scope);
}

function withLastResult(tool: object): object {
  if (!("execute" in tool) || typeof tool.execute !== "function") return tool;
  const run = tool.execute as (...args: unknown[]) => unknown;
  const execute = async (...args: unknown[]) => {
    const result = await run.apply(tool, args);
    if (!isStream(result)) return result;
    let last: unknown;
    for await (const part of result) last = part;
    return last;
  };
  return { ...tool, execute };
}

function isStream(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === "object" && value !== null && Symbol.asyncIterator in value;
}
