// The agent is killed (SIGKILL) at every line that it says, in the middle of an effect, and together with
// the engine; in the end each mail was answered once.
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

/** Lets it come to its end; what it said. */
async function finish(agent = start()) {
  const said = [];
  for await (const line of lines(agent)) said.push(line);
  if (agent.exitCode === null) await once(agent, "exit");
  assert.equal(agent.exitCode, 0);
  assert.equal(said.at(-1), "the inbox is answered");
  return said;
}

async function eachMailAnsweredOnce() {
  const client = new StateEngineClient({ url: engine.url });
  const ids = inbox.map(({ id }) => id);
  const sent = (await readdir(join(folder, "outbox"))).sort();
  assert.deepEqual(sent, ids.map((id) => `answer-to-${id}@email-agent`));
  const user = await client.findUser("email-agent");
  const [session, ...more] = await client.listSessions(user.id);
  assert.deepEqual(more, [], "one session over all starts");
  const goals = await client.listGoals(session.id);
  assert.deepEqual(goals.map(({ title, status }) => [title, status]).sort(), ids.map((id) => [id, "completed"]));
  const memories = await client.listMemories(user.id);
  assert.deepEqual(memories.map(({ content }) => content).sort(), inbox.map(({ text }) => text).sort());
  const last = goals.find(({ title }) => title === "m3");
  assert.match(last.result.text, /I only eat vegetarian/, "what Ann wrote first is remembered");
}

test("without trouble it answers the inbox, the urgent mail first, and then finds nothing to do", async () => {
  const said = await finish();
  assert.deepEqual(said.filter((line) => line.startsWith("done")), ["done m2", "done m1", "done m3"]);
  await eachMailAnsweredOnce();
  assert.equal((await finish()).length, 2);
  await eachMailAnsweredOnce();
});

test("killed at every line that it says for the first time", async () => {
  const heard = new Set();
  for (let kills = 0; ; kills += 1) {
    assert.ok(kills < 50, "it goes on after each kill");
    const agent = start();
    let killed = false;
    for await (const line of lines(agent)) {
      if (heard.has(line)) continue;
      heard.add(line);
      killed = true;
      await kill(agent);
      break;
    }
    if (!killed) break;
  }
  assert.ok(heard.has("the inbox is answered"));
  await finish();
  await eachMailAnsweredOnce();
});

test("killed when its mail is out and it does not know", async () => {
  const agent = start();
  agent.stdout.resume();
  // Between the effect and its record, once: the answer of the mail host never comes.
  const taken = new Promise((resolve) => {
    onMail = () => new Promise(() => resolve());
  });
  await taken;
  await kill(agent);
  onMail = async () => {};
  const said = await finish();
  assert.ok(said.includes("looked up send:m2: executed"), said.join("\n"));
  await eachMailAnsweredOnce();
});

test("killed together with the engine", async () => {
  const agent = start();
  for await (const line of lines(agent)) {
    if (line.startsWith("sent")) break;
  }
  await Promise.all([kill(agent), engine.kill()]);
  await engine.restart();
  await finish();
  await eachMailAnsweredOnce();
});
