// An agent that writes to three people by SMTP, and retries what failed. With ENGINE_URL each mail is a
// guarded tool call. Without it, this is an ordinary agent.
import { InDoubtError, StateEngineClient } from "@openclaw/ts-client";
import { createTransport } from "nodemailer";

const { SMTP_URL, MAIL_API, ENGINE_URL, SCOPE } = process.env;
const PEOPLE = ["ann@example.com", "bob@example.com", "cid@example.com"];

const transport = createTransport({ url: SMTP_URL, socketTimeout: 1_500, ignoreTLS: true });
const send = async (to, messageId) => {
  const { response } = await transport.sendMail({ from: "agent@example.com", to, subject: "Hello", text: "…", messageId });
  return response;
};

/** Checks the mail host's outbox, which is evidence of whether a mail was sent. */
const wasSent = async (id) => (await fetch(`${MAIL_API}/outbox/${encodeURIComponent(id)}`)).ok;

async function guarded(client, to) {
  const call = { ...JSON.parse(SCOPE), tool: "send_mail", input: { to, subject: "Hello" } };
  const id = ({ executionId, attempt }) => `${executionId}.${attempt}@agent`;
  try {
    await client.runTool(call, (context) => send(to, id(context)), { leaseMs: 1_500 });
  } catch (error) {
    if (!(error instanceof InDoubtError)) throw error;
    // The mail may have been sent, so the agent checks instead of guessing.
    const { execution } = error;
    const { id: executionId, attempt } = execution;
    const sent = await wasSent(id({ executionId, attempt }));
    await client.resolveToolExecution(executionId, attempt, sent ? "executed" : "not_executed", "looked into the outbox");
    if (!sent) await guarded(client, to);
  }
}

async function twice(work) {
  try {
    await work();
  } catch {
    await work();
  }
}

const client = ENGINE_URL && new StateEngineClient({ url: ENGINE_URL });
for (const to of PEOPLE) {
  await twice(() => (client ? guarded(client, to) : send(to)));
}
transport.close();
