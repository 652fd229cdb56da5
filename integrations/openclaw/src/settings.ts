import type { Policy } from "./policy.ts";

/** The plugin's settings, as `openclaw.plugin.json` describes them. */
export interface Settings {
  engineUrl: string;
  token: string | undefined;
  onEngineDown: "block" | "allow";
  tools: Readonly<Record<string, Policy>>;
}

/** Reads what the host has already checked against the manifest's schema. */
export function settings(config: unknown, env: NodeJS.ProcessEnv): Settings {
  const given = (config ?? {}) as Partial<Settings>;
  return {
    engineUrl: given.engineUrl ?? env["STATE_ENGINE_URL"] ?? "http://127.0.0.1:3030",
    token: env["STATE_ENGINE_TOKEN"],
    onEngineDown: given.onEngineDown ?? "block",
    tools: given.tools ?? {},
  };
}
