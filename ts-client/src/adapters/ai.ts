import { type ToolScope, wrapTools } from "../wrap-tools.js";

/** A map of tools as the Vercel AI SDK takes it. */
type Tools = Record<string, object>;

/**
 * The tools of the Vercel AI SDK, each call of which takes effect once:
 * `generateText({ tools: durable({ sendMail }, scope) })`. Of a tool that yields preliminary results
 * the last one is kept, and given. What is thrown becomes a `tool-error` for the model.
 */
export function durable<T extends Tools>(tools: T, scope: ToolScope): T {
  const whole = Object.entries(tools).map(([name, tool]) => [name, withLastResult(tool)]);
  return wrapTools(Object.fromEntries(whole) as T, scope);
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
