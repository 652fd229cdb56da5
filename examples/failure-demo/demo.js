// node demo.js: three failures, each without the engine and with it. Processes, mails (on the loopback) and
// kills are real. Exits with 1 if, with the engine, a mail is missing or sent twice.
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

import { StateEngineClient } from "@openclaw/ts-client";

import { Engine } from "../../tests/support/engine.mjs";
import { FAILURES, HELD } from "./failures.js";
import { mailHost } from "./sinks.js";

const EXPECTED = 3;

const engine = await Engine.start();
const client = new StateEngineClient({ url: engine.url });
const user = await client.createUser("failure-demo");

/** The ways to guard an agent: which program runs, and the environment variables that it gets. */
const GUARDS = {
  "SMTP, each mail by runTool": {
    program: "agent-smtp.js",
    environment: async (name) => {
      const session = await client.createSession(user.id, null, { name });
      const goal = await client.createGoal(user.id, session.id, "say hello to three people");
      const scope = { userId: user.id, sessionId: session.id, goalId: goal.id };
      return { ENGINE_URL: engine.url, SCOPE: JSON.stringify(scope) };
    },
  },
  "HTTP mail API, agent unchanged, through the proxy": {
    program: "agent-http.js",
    environment: async (name) => {
      const proxy = new URL(engine.proxy);
      proxy.username = name;
      proxy.password = "x";
      return { HTTP_PROXY: proxy.href };
    },
  },
};

async function runCase(program, failure, env) {
  const host = await mailHost(HELD);
  const { PATH, HOME } = process.env;
  const path = fileURLToPath(new URL(program, import.meta.url));
  const start = () =>
    spawn(process.execPath, [path], {
      env: { PATH, HOME, SMTP_URL: host.smtp, MAIL_API: host.api, ...env },
      stdio: ["ignore", "inherit", "inherit"],
    });
  try {
    const done = await failure(start, host);
    const exact = done && host.outbox.counts.size === EXPECTED && host.outbox.total === EXPECTED;
    return { mails: host.outbox.total, exact };
  } finally {
    host.close();
  }
}

const line = (...[label, without, withEngine]) =>
  console.log(`${label.padEnd(34)}${String(without).padStart(18)}${String(withEngine).padStart(18)}`);

let asExpected = true;
try {
  console.log(`\nMails sent, of ${EXPECTED} that were wanted:\n`);
  line("", "without engine", "with engine");
  for (const [title, guard] of Object.entries(GUARDS)) {
    console.log(title);
    for (const [name, failure] of Object.entries(FAILURES)) {
      const session = `${guard.program.replace(/\.js$/, "")}-${name.replaceAll(" ", "-")}`;
      const [without, withEngine] = await Promise.all([
        runCase(guard.program, failure, {}),
        guard.environment(session).then((env) => runCase(guard.program, failure, env)),
      ]);
      asExpected &&= withEngine.exact && without.mails > EXPECTED;
      line(`  ${name}`, without.mails, `${withEngine.mails}${withEngine.exact ? "" : "  WRONG"}`);
    }
  }
} finally {
  await engine.remove();
}
console.log(asExpected ? "\nWith the engine every mail was sent exactly once.\n" : "\nThe result is not as expected.\n");
process.exit(asExpected ? 0 : 1);
