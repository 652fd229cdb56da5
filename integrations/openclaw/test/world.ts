import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import { EngineProcess } from "../e2e/engine.ts";
import type { ToolCall } from "./host.ts";

export interface Recorded {
  id: string;
  session_id: string;
  tool_name: string;
  tool_input: Record<string, unknown>;
  status: string;
  outcome: string | null;
  error: string | null;
  output: unknown;
  attempt: number;
}

/** The real engine for the tests of a file, with its own database. */
export async function engineOfThisFile(): Promise<EngineProcess> {
  const folder = mkdtempSync(join(tmpdir(), "state-engine-plugin-"));
  const engine = new EngineProcess(join(folder, "state.db"));
  after(async () => {
    await engine.kill();
    rmSync(folder, { recursive: true });
  });
  return engine.start();
}

/** The recorded calls of a tool, oldest first. */
export async function recorded(engine: EngineProcess, tool_name: string): Promise<Recorded[]> {
  const page = await engine.call<{ items: Recorded[] }>("list_executions", { tool_name });
  return page.items.reverse();
}

let ids = 0;

/** A call that sends a mail. Each subject has its own session. */
export function mail(subject: string, run: string, more: Partial<ToolCall> = {}): ToolCall {
  ids += 1;
  const params = { to: "ann@example.org", subject };
  return { tool: "send_email", params, run, id: `call_${ids}`, session: `agent:main:${subject}`, ...more };
}
