// npm start: starts the mail host, the engine (unless STATE_ENGINE_URL names one) and the agent. Everything
// that is stored is in data/. An engine that outlived a killed agent is found again by its lock file.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

import { engineBinary } from "../../tests/support/engine.mjs";
import { serveMail } from "./mail-host.js";

const at = (path) => fileURLToPath(new URL(path, import.meta.url));
const database = at("data/state.db");

/** The URL of a running engine that holds the database, from its lock file. */
async function runningEngine() {
  try {
    const { api } = JSON.parse(await readFile(`${database}.lock`, "utf8"));
    return (await fetch(`${api}/healthz`)).ok ? api : undefined;
  } catch {
    return undefined;
  }
}

async function startEngine() {
  const args = ["serve", "--database", database, "--addr", "127.0.0.1:0", "--no-proxy"];
  const engine = spawn(engineBinary(), args, {
    stdio: ["ignore", "ignore", "inherit"],
    env: { ...process.env, STATE_ENGINE_LOG: "warn" },
  });
  for (;;) {
    const url = await runningEngine();
    if (url) {
      const stop = async () => {
        engine.kill("SIGTERM");
        await once(engine, "exit");
      };
      return { url, stop };
    }
    if (engine.exitCode !== null) throw new Error("the engine did not start");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

await mkdir(at("data"), { recursive: true });
const existing = process.env.STATE_ENGINE_URL ?? (await runningEngine());
const engine = existing ? { url: existing, stop: () => {} } : await startEngine();
const outbox = at("data/outbox");
const mail = await serveMail(outbox);
const env = { ...process.env, STATE_ENGINE_URL: engine.url, SMTP_URL: mail.url, OUTBOX: outbox, INBOX: at("inbox.json") };
const agent = spawn(process.execPath, [at("agent.js")], { stdio: ["ignore", "inherit", "inherit"], env });
const [code] = await once(agent, "exit");
mail.close();
await engine.stop();
process.exitCode = code ?? 1;
