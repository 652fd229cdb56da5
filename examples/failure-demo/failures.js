// The failures. Each gets a function that starts the agent, and the mail host that the agent writes to. It
// resolves when all processes that it started have ended, to whether those that were not killed succeeded.
import { once } from "node:events";

/** The recipient whose first mail is answered late. */
export const HELD = "bob@example.com";

const ended = async (agent) => {
  if (agent.exitCode === null && agent.signalCode === null) await once(agent, "exit");
  return agent.exitCode === 0;
};

/** The mail host accepts the mail and answers late: the agent gives up waiting and tries again. */
async function timeout(start, { outbox }) {
  const agent = start();
  await outbox.heldArrived;
  // Longer than the agent waits (1.5 s) and shorter than twice that.
  const slow = setTimeout(() => outbox.release(), 2_000);
  const done = await ended(agent);
  clearTimeout(slow);
  outbox.release();
  return done;
}

/** The agent is killed after its mail was accepted and before it gets the answer. Then it starts again. */
async function crash(start, { outbox }) {
  const agent = start();
  await outbox.heldArrived;
  agent.kill("SIGKILL");
  await ended(agent);
  outbox.release();
  return ended(start());
}

/** Two workers have the same task. */
async function race(start, { outbox }) {
  outbox.release();
  const done = await Promise.all([start(), start()].map(ended));
  return done.every(Boolean);
}

export const FAILURES = { "timeout and retry": timeout, "crash in mid-task": crash, "two workers racing": race };
