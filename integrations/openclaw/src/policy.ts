/** What is done about a tool's calls:
 * - `ignore`: nothing;
 * - `record`: recorded, never held back;
 * - `crash`: a call whose result did not reach the model is not run again;
 * - `run`: nor is it repeated within a run of the agent;
 * - `session`: nor ever in the session. */
export type Policy = "ignore" | "record" | "crash" | "run" | "session";

/** The host's own tools, and what their names do not tell.
 *
 * `crash` where a repeat within one run is ordinary work: tests are run again after an edit. */
const KNOWN: Readonly<Record<string, Policy>> = {
  read: "record",
  image: "record",
  pdf: "record",
  web_fetch: "record",
  web_search: "record",
  memory_get: "record",
  memory_search: "record",
  session_status: "record",
  sessions_history: "record",
  sessions_list: "record",
  agents_list: "record",
  update_plan: "record",
  ask_user: "record",
  // One tool for polls and for writes to a running program: a held back poll stops the agent.
  process: "record",
  exec: "crash",
  bash: "crash",
  write: "crash",
  edit: "crash",
  apply_patch: "crash",
  browser: "crash",
  canvas: "crash",
  nodes: "crash",
  cron: "crash",
  gateway: "crash",
};

/** The first word of a name that says it reads, as GET does among methods. */
const READS = /^(get|list|read|search|find|fetch|query|describe|count|show|view|lookup|check|status|poll|wait)(_|-|[A-Z]|$)/;

/** Calls around a call: the call inside is the one that acts, and has hooks of its own. */
const WRAPPERS = new Set(["tool_call", "tool_search", "tool_describe", "tool_search_code"]);

/** Whether `tool` only hands a call on to another tool. */
export function isWrapper(tool: string): boolean {
  return WRAPPERS.has(tool);
}

/** The policy of `tool`: the longest pattern of `chosen` that fits, else what the name tells. A tool
 * that nothing is known of acts. */
export function policyOf(
  tool: string,
  params: Record<string, unknown>,
  chosen: Readonly<Record<string, Policy>>,
): Policy {
  const pattern = Object.keys(chosen)
    .filter((pattern) => fits(pattern, tool))
    .sort((a, b) => b.length - a.length)[0];
  const wanted = pattern === undefined ? undefined : chosen[pattern];
  if (wanted !== undefined) return wanted;
  const known = Object.hasOwn(KNOWN, tool) ? KNOWN[tool] : undefined;
  if (known !== undefined) return known;
  // `server__tool` is a tool of an MCP server.
  const name = tool.slice(tool.lastIndexOf("__") + 1).replace(/^_/, "");
  if (READS.test(name)) return "record";
  const action = tool === "message" ? params["action"] : undefined;
  return typeof action === "string" && READS.test(action) ? "record" : "run";
}

function fits(pattern: string, tool: string): boolean {
  const parts = pattern.split("*").map((part) => part.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&"));
  return new RegExp(`^${parts.join(".*")}$`, "s").test(tool);
}
