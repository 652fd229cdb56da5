import type { Policy } from "./policy.ts";

/** The plugin's settings, as `openclaw.plugin.json` describes them. */
export interface Settings {
  engineUrl: string;
  token: string | undefined;
  onEngineDown: "block" | "allow";
  tools: Readonly<Record<string, Policy>>;
}

/** Reads the settings. The host has already checked `config` against the manifest's schema. */
export function settings(config: unknown, env: NodeJS.ProcessEnv): Settings {
  const configured = (config ?? {}) as Partial<Settings>;
  return {
    engineUrl: configured.engineUrl ?? env["STATE_ENGINE_URL"] ?? "http://127.0.0.1:3030",
    token: env["STATE_ENGINE_TOKEN"],
    onEngineDown: configured.onEngineDown ?? "block",
    tools: configured.tools ?? {},
  };
}
