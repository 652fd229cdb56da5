// What goes wrong. Each failure gets a way to start the agent and the mail host it writes to, ends when
// all that it started has ended, and tells whether the agents that were not killed did their work.
import { once } from "node:events";

/** Whose mail is answered late. */
export const HELD = "bob@example.com";

const ended = async (agent) => {
  if (agent.exitCode === null && agent.signalCode === null) await once(agent, "exit");
  return agent.exitCode === 0;
};

/** The mail host took the mail and is slow to say so: the agent gives up waiting, and tries again. */
async function timeout(start, { outbox }) {
  const agent = start();
  await outbox.tookHeld;
  // Longer than the agent waits (1.5 s), and shorter than twice that.
  const slow = setTimeout(() => outbox.release(), 2_000);
  const done = await ended(agent);
  clearTimeout(slow);
  outbox.release();
  return done;
}

/** The agent is killed when its mail is out and it does not know yet; then it is started again. */
async function crash(start, { outbox }) {
  const agent = start();
  await outbox.tookHeld;
  agent.kill("SIGKILL");
  await ended(agent);
  outbox.release();
  return ended(start());
}

/** Two workers got the same task. */
async function race(start, { outbox }) {
  outbox.release();
  const done = await Promise.all([start(), start()].map(ended));
  return done.every(Boolean);
}

export const FAILURES = { "timeout and retry": timeout, "crash in mid-task": crash, "two workers racing": race };
