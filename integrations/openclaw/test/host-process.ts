// A process that loads the built plugin as OpenClaw does, and runs its hooks when the test sends a message.
// The test can kill it like the gateway.
import type { PluginApi } from "../src/host.ts";

type Handler = (event: unknown, context: unknown) => unknown;

const handlers = new Map<string, Handler>();
const log: string[] = [];
const config = JSON.parse(process.argv[2] ?? "{}") as { plugin: unknown; host: unknown };
const api = {
  pluginConfig: config.plugin,
  config: config.host,
  logger: { info: (line: string) => log.push(line), warn: (line: string) => log.push(line) },
  on: (hook: string, handler: Handler) => handlers.set(hook, handler),
  registerAgentToolResultMiddleware: (handler: Handler) => handlers.set("middleware", handler),
};
const built = new URL("../../dist/index.js", import.meta.url).href;
const plugin = (await import(built)) as { default: { register(api: PluginApi): void } };
plugin.default.register(api as unknown as PluginApi);

interface HookRequest {
  id: number;
  hook: string;
  event: unknown;
  context: { toolCallId?: string; abortSignal?: AbortSignal };
}

const running = new Map<string, AbortController>();

process.on("message", ({ id, hook, event, context }: HookRequest) => {
  const controller = new AbortController();
  if (hook === "before_tool_call") running.set(String(context.toolCallId), controller);
  context.abortSignal = controller.signal;
  void (async () => {
    if (hook === "cancel") running.get(String(context.toolCallId))?.abort();
    const result = hook === "log" ? log : await handlers.get(hook)?.(event, context);
    // The hook may have deferred work to the next turn of the event loop; the answer comes after that.
    setImmediate(() => process.send?.({ id, result }));
  })();
});
process.send?.({ hooks: [...handlers.keys()] });
