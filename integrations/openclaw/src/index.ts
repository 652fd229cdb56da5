import { Guard } from "./guard.ts";
import type { PluginApi, ToolResult, ToolResultMessage } from "./host.ts";
import { statusOf } from "./results.ts";
import { settings } from "./settings.ts";

/** The entry that OpenClaw loads. */
export default {
  id: "state-engine",
  name: "State engine",
  description: "Records every tool call before it runs, so that a repeat does not take effect twice",
  register,
};

/** Runs after the hooks that may block or rewrite a call. */
const LAST = -1000;
const RECOVERY = "main_session_restart_recovery";
const GUARDS = Symbol.for("openclaw-state-engine.guards");

function register(api: PluginApi): void {
  const guard = guardOf(api);

  api.on("before_tool_call", (event, context) => guard.before(event, context), { priority: LAST });

  // The host awaits this before the model gets the result.
  api.registerAgentToolResultMiddleware(
    async (event, context) => {
      const ending = { result: event.result, isError: event.isError === true };
      await guard.after(event.toolCallId, context, ending);
      await guard.innerCallsRecorded(event.toolCallId, context);
      return undefined;
    },
    { runtimes: ["openclaw", "codex"] },
  );

  // For calls that do not reach the middleware. The host does not await this.
  api.on("after_tool_call", async (event, context) => {
    const result = resultOf(event.result, event.error);
    await guard.after(event.toolCallId, context, { result, isError: event.error !== undefined });
  });

  api.on("tool_result_persist", (event, context) => {
    if (event.isSynthetic) return undefined;
    const deliveries = guard.takeDeliveries(event.toolCallId ?? event.message.toolCallId, context);
    // The host writes the transcript right after this returns, in the same tick.
    setImmediate(() => {
      for (const { known } of deliveries) known.goal.deliver(known);
    });
    const [only] = deliveries;
    return deliveries.length === 1 && only?.replayed ? { message: withoutError(event.message) } : undefined;
  });

  if (!mayReadConversations(api)) return;
  api.on("before_prompt_build", async (_event, context) => {
    if (context.inputProvenance?.sourceTool !== RECOVERY) return undefined;
    const ledger = await guard.ledger(context).catch(() => undefined);
    return ledger === undefined ? undefined : { prependContext: ledger };
  });
  api.on("agent_end", async (event, context) => {
    const runId = event.runId ?? context.runId;
    if (runId === undefined) return;
    // The last result may not be in the transcript yet.
    setImmediate(() => void guard.ended(runId, context).catch(() => {}));
  });
}

/** One guard per engine and process: the host loads the plugin again when its settings change, even while
 * calls run. */
function guardOf(api: PluginApi): Guard {
  const wanted = settings(api.pluginConfig, process.env);
  const holder = globalThis as { [GUARDS]?: Map<string, Guard> };
  const guards = (holder[GUARDS] ??= new Map());
  const id = `${wanted.engineUrl}\n${wanted.token ?? ""}`;
  const known = guards.get(id);
  if (known) {
    known.adopt(wanted, api.logger);
    return known;
  }
  const guard = new Guard(wanted, api.logger);
  guards.set(id, guard);
  return guard;
}

/** Whether the operator lets the plugin read conversations. Without that the host refuses those hooks. */
function mayReadConversations(api: PluginApi): boolean {
  const config = api.config as
    | { plugins?: { entries?: Record<string, { hooks?: { allowConversationAccess?: boolean } }> } }
    | undefined;
  return config?.plugins?.entries?.["state-engine"]?.hooks?.allowConversationAccess === true;
}

function resultOf(result: unknown, error: string | undefined): ToolResult {
  const candidate = result as Partial<ToolResult> | undefined;
  if (Array.isArray(candidate?.content)) return candidate as ToolResult;
  const text = error ?? (typeof result === "string" ? result : JSON.stringify(result ?? null));
  return { content: [{ type: "text", text }], details: { status: statusOf(candidate as ToolResult) } };
}

/** A replayed result is not an error, but the host can only return it as a blocked call. */
function withoutError(message: ToolResultMessage): ToolResultMessage {
  return { ...message, isError: false, details: { status: "replayed", by: "state-engine" } };
}
