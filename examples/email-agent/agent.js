// The agent: each mail in the inbox becomes a goal, and each goal is a draft, an answer that is sent, and a
// memory. The agent itself keeps nothing. Its progress is in the engine, so it can be stopped anywhere.
import { readFile } from "node:fs/promises";

import { InDoubtError, RpcError, StateEngineClient } from "@openclaw/ts-client";

import { makeTools } from "./tools.js";

const { STATE_ENGINE_URL, SMTP_URL, OUTBOX, INBOX, LEASE_MS } = process.env;
const leaseMs = Number(LEASE_MS ?? 10_000);
const client = new StateEngineClient({ url: STATE_ENGINE_URL, maxRetries: 8 });
const say = (text) => console.log(text);

/** Finds the agent's user, or creates it. */
async function findOrCreateUser(username) {
  const found = await client.findUser(username);
  if (found) return found;
  try {
    return await client.createUser(username, "Email agent");
  } catch (error) {
    // Another copy of this agent has created the user meanwhile.
    if (error instanceof RpcError && error.code === "CONFLICT") return client.findUser(username);
    throw error;
  }
}

/** Creates a goal for each mail that has none yet. Returns the pending goals, the urgent ones first. */
async function plan(user, session, inbox) {
  const titles = new Set((await client.listGoals(session.id)).map(({ title }) => title));
  for (const mail of inbox.filter(({ id }) => !titles.has(id))) {
    const goal = await client.createGoal(user.id, session.id, mail.id, mail.subject);
    if (mail.urgent) await client.updateGoal({ ...goal, priority: "high" });
    say(`planned ${mail.id}: ${mail.subject}`);
  }
  return client.listPendingGoals(session.id);
}

/** Runs a tool once for this key, even if an earlier process died in it. A call in doubt is settled by what
 * the tool's `find` finds. */
async function once(scope, tools, name, key, input) {
  const { run, find } = tools[name];
  try {
    return await client.runTool({ ...scope, tool: name, key, input }, () => run(input), { leaseMs });
  } catch (error) {
    if (!(error instanceof InDoubtError)) throw error;
    const { id, attempt } = error.execution;
    const output = await find(input);
    const verdict = output === undefined ? "not_executed" : "executed";
    say(`looked up ${key}: ${verdict}`);
    await client.resolveToolExecution(id, attempt, verdict, "looked up after a restart", { output });
    return once(scope, tools, name, key, input);
  }
}

async function answer(goal, mail, scope, tools) {
  await client.updateGoal({ ...goal, status: "in_progress" });
  const known = goal.context.known ?? (await tools.known(mail.from));
  // The input of the draft is kept, so that a later start makes the same call.
  await client.updateGoal({ ...goal, status: "in_progress", context: { known } });
  const text = await once(scope, tools, "draft", `draft:${mail.id}`, { mail, known });
  say(`drafted ${mail.id}`);
  await once(scope, tools, "send", `send:${mail.id}`, { mail, text });
  say(`sent ${mail.id} to ${mail.from}`);
  await once(scope, tools, "remember", `remember:${mail.id}`, { mail });
  say(`remembered ${mail.id}`);
  await client.updateGoal({ ...goal, status: "completed", context: { known }, result: { text } });
  say(`done ${mail.id}`);
}

const inbox = JSON.parse(await readFile(INBOX, "utf8"));
const user = await findOrCreateUser("email-agent");
const session = (await client.getActiveSession(user.id)) ?? (await client.createSession(user.id));
const tools = makeTools({ client, userId: user.id, smtp: SMTP_URL, outbox: OUTBOX });
say(`session ${session.id} started ${session.created_at}`);
for (const goal of await plan(user, session, inbox)) {
  const mail = inbox.find(({ id }) => id === goal.title);
  const scope = { userId: user.id, sessionId: session.id, goalId: goal.id };
  if (mail) await answer(goal, mail, scope, tools);
}
tools.close();
say("the inbox is answered");
