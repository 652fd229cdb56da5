// The agent is killed (SIGKILL) at every line that it prints, in the middle of an effect, and together with
// the engine. In the end each mail was answered once.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterEach, beforeEach, test } from "node:test";
import { fileURLToPath } from "node:url";

import { StateEngineClient } from "@openclaw/ts-client";

import { Engine } from "../../tests/support/engine.mjs";
import { serveMail } from "./mail-host.js";

const at = (path) => fileURLToPath(new URL(path, import.meta.url));
const inbox = JSON.parse(await readFile(at("inbox.json"), "utf8"));

let engine;
let folder;
let host;
let onMail;
beforeEach(async () => {
  engine = await Engine.start();
  folder = await mkdtemp(join(tmpdir(), "email-agent-"));
  onMail = async () => {};
  host = await serveMail(join(folder, "outbox"), (to) => onMail(to));
});
afterEach(async () => {
  host.close();
  await engine.remove();
  await rm(folder, { recursive: true, force: true });
});

function start() {
  const env = {
    ...process.env,
    STATE_ENGINE_URL: engine.url,
    SMTP_URL: host.url,
    OUTBOX: join(folder, "outbox"),
    INBOX: at("inbox.json"),
    LEASE_MS: "1000",
  };
  return spawn(process.execPath, [at("agent.js")], { stdio: ["ignore", "pipe", "inherit"], env });
}

const lines = (agent) => createInterface({ input: agent.stdout });

async function kill(agent) {
  const exited = agent.exitCode === null && agent.signalCode === null ? once(agent, "exit") : undefined;
  agent.kill("SIGKILL");
  await exited;
}

/** Waits until the agent has finished, and returns the lines that it printed. */
async function finish(agent = start()) {
  const output = [];
  for await (const line of lines(agent)) output.push(line);
  if (agent.exitCode === null) await once(agent, "exit");
  assert.equal(agent.exitCode, 0);
  assert.equal(output.at(-1), "the inbox is answered");
  return output;
}

async function eachMailAnsweredOnce() {
  const client = new StateEngineClient({ url: engine.url });
  const ids = inbox.map(({ id }) => id);
  const sent = (await readdir(join(folder, "outbox"))).sort();
  assert.deepEqual(sent, ids.map((id) => `answer-to-${id}@email-agent`));
  const user = await client.findUser("email-agent");
  const [session, ...more] = await client.listSessions(user.id);
  assert.deepEqual(more, [], "all starts should share one session");
  const goals = await client.listGoals(session.id);
  assert.deepEqual(goals.map(({ title, status }) => [title, status]).sort(), ids.map((id) => [id, "completed"]));
  const memories = await client.listMemories(user.id);
  assert.deepEqual(memories.map(({ content }) => content).sort(), inbox.map(({ text }) => text).sort());
  const last = goals.find(({ title }) => title === "m3");
  assert.match(last.result.text, /I only eat vegetarian/, "what Ann wrote first should be remembered");
}

test("the agent answers the inbox, the urgent mail first, and a second start finds nothing to do", async () => {
  const output = await finish();
  assert.deepEqual(output.filter((line) => line.startsWith("done")), ["done m2", "done m1", "done m3"]);
  await eachMailAnsweredOnce();
  assert.equal((await finish()).length, 2);
  await eachMailAnsweredOnce();
});

test("each mail is answered once if the agent is killed at every line that it prints", async () => {
  const seen = new Set();
  for (let kills = 0; ; kills += 1) {
    assert.ok(kills < 50, "the agent should make progress after each kill");
    const agent = start();
    let killed = false;
    for await (const line of lines(agent)) {
      if (seen.has(line)) continue;
      seen.add(line);
      killed = true;
      await kill(agent);
      break;
    }
    if (!killed) break;
  }
  assert.ok(seen.has("the inbox is answered"));
  await finish();
  await eachMailAnsweredOnce();
});

test("each mail is answered once if the agent is killed between a mail and its record", async () => {
  const agent = start();
  agent.stdout.resume();
  // The mail host accepts the mail and never answers.
  const accepted = new Promise((resolve) => {
    onMail = () => new Promise(() => resolve());
  });
  await accepted;
  await kill(agent);
  onMail = async () => {};
  const output = await finish();
  assert.ok(output.includes("looked up send:m2: executed"), output.join("\n"));
  await eachMailAnsweredOnce();
});

test("each mail is answered once if the agent is killed together with the engine", async () => {
  const agent = start();
  for await (const line of lines(agent)) {
    if (line.startsWith("sent")) break;
  }
  await Promise.all([kill(agent), engine.kill()]);
  await engine.restart();
  await finish();
  await eachMailAnsweredOnce();
});
