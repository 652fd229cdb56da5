/** How a tool's calls are guarded:
 * - `ignore`: they are not recorded.
 * - `record`: they are recorded and never held back.
 * - `crash`: a call whose result did not reach the model does not run again.
 * - `run`: as `crash`, and a call does not run twice within a run of the agent.
 * - `session`: a call never runs twice in the session. */
export type Policy = "ignore" | "record" | "crash" | "run" | "session";

/** The policies of the host's own tools, which their names do not show.
 *
 * `crash` is for tools whose repeat within one run is ordinary work: tests run again after an edit. */
const KNOWN_TOOLS: Readonly<Record<string, Policy>> = {
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
  // The same tool polls a program and writes to it. An agent whose poll is held back cannot continue.
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

/** The first word of a name that means that the tool only reads. */
const READS = /^(get|list|read|search|find|fetch|query|describe|count|show|view|lookup|check|status|poll|wait)(_|-|[A-Z]|$)/;

/** Tools that call another tool. The inner call is the one that acts, and it has its own hooks. */
const WRAPPERS = new Set(["tool_call", "tool_search", "tool_describe", "tool_search_code"]);

/** Whether `tool` only passes a call on to another tool. */
export function isWrapper(tool: string): boolean {
  return WRAPPERS.has(tool);
}

/** The policy of `tool`: that of the longest matching pattern in `configured`, else the default for its
 * name. An unknown tool is treated as one that acts. */
export function policyOf(
  tool: string,
  params: Record<string, unknown>,
  configured: Readonly<Record<string, Policy>>,
): Policy {
  const pattern = Object.keys(configured)
    .filter((pattern) => matches(pattern, tool))
    .sort((a, b) => b.length - a.length)[0];
  const override = pattern === undefined ? undefined : configured[pattern];
  if (override !== undefined) return override;
  const known = Object.hasOwn(KNOWN_TOOLS, tool) ? KNOWN_TOOLS[tool] : undefined;
  if (known !== undefined) return known;
  // `server__tool` is a tool of an MCP server.
  const name = tool.slice(tool.lastIndexOf("__") + 1).replace(/^_/, "");
  if (READS.test(name)) return "record";
  const action = tool === "message" ? params["action"] : undefined;
  return typeof action === "string" && READS.test(action) ? "record" : "run";
}

function matches(pattern: string, tool: string): boolean {
  const parts = pattern.split("*").map((part) => part.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&"));
  return new RegExp(`^${parts.join(".*")}$`, "s").test(tool);
}
