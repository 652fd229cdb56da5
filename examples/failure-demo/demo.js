// node demo.js: three failures, each without the engine and with it. Real processes, real mails on the
// loopback, real kills. Ends with 1 if a mail is missing or doubled with the engine.
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

import { StateEngineClient } from "@openclaw/ts-client";

import { Engine } from "../../tests/support/engine.mjs";
import { FAILURES, HELD } from "./failures.js";
import { mailHost } from "./sinks.js";

const WANTED = 3;

const engine = await Engine.start();
const client = new StateEngineClient({ url: engine.url });
const user = await client.createUser("failure-demo");

/** What the agent is told of the engine, by the way in which it is guarded. */
const GUARDS = {
  "SMTP, each mail by runTool": {
    program: "agent-smtp.js",
    with: async (name) => {
      const session = await client.createSession(user.id, null, { name });
      const goal = await client.createGoal(user.id, session.id, "say hello to three people");
      const scope = { userId: user.id, sessionId: session.id, goalId: goal.id };
      return { ENGINE_URL: engine.url, SCOPE: JSON.stringify(scope) };
    },
  },
  "HTTP mail API, agent unchanged, through the proxy": {
    program: "agent-http.js",
    with: async (name) => {
      const proxy = new URL(engine.proxy);
      proxy.username = name;
      proxy.password = "x";
      return { HTTP_PROXY: proxy.href };
    },
  },
};

async function play(program, failure, env) {
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
    const exact = done && host.outbox.counts.size === WANTED && host.outbox.total === WANTED;
    return { mails: host.outbox.total, exact };
  } finally {
    host.close();
  }
}

const line = (...[what, without, withIt]) =>
  console.log(`${what.padEnd(34)}${String(without).padStart(18)}${String(withIt).padStart(18)}`);

let good = true;
try {
  console.log(`\nMails sent, of ${WANTED} that were wanted:\n`);
  line("", "without engine", "with engine");
  for (const [title, guard] of Object.entries(GUARDS)) {
    console.log(title);
    for (const [name, failure] of Object.entries(FAILURES)) {
      const session = `${guard.program.replace(/\.js$/, "")}-${name.replaceAll(" ", "-")}`;
      const [without, withIt] = await Promise.all([
        play(guard.program, failure, {}),
        guard.with(session).then((env) => play(guard.program, failure, env)),
      ]);
      good &&= withIt.exact && without.mails > WANTED;
      line(`  ${name}`, without.mails, `${withIt.mails}${withIt.exact ? "" : "  WRONG"}`);
    }
  }
} finally {
  await engine.remove();
}
console.log(good ? "\nWith the engine every mail went out exactly once.\n" : "\nThat is not what was promised.\n");
process.exit(good ? 0 : 1);
