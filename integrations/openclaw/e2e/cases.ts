import { OpenClawAgent } from "../src/agent.ts";
import { until } from "./gateway.ts";
import type { World } from "./world.ts";

export interface Case {
  name: string;
  expected: string;
  /** Returns what happened, in the words of `expected`. */
  run(world: World): Promise<string>;
}

function mail(subject: string): string {
  return `send_email {"to":"ann@example.org","subject":"${subject}"}`;
}

function mails(count: number): string {
  return count === 1 ? "1 mail" : `${count} mails`;
}

const ANSWERS = new Set(["the stored result", "outcome unknown", "a result"]);

/** The last result that the model got: `a result`, or the kind of the plugin's answer. */
function lastAnswer(results: readonly string[]): string {
  const last = results.at(-1) ?? "nothing";
  if (last.includes("Already done, NOT run again")) return "the stored result";
  if (last.includes("is UNKNOWN")) return "outcome unknown";
  if (last.includes("being executed right now")) return "in flight";
  if (last.includes("cannot record the call")) return "engine down";
  return last.includes("accepted") ? "a result" : last;
}

/** The newest executions. */
async function recorded(world: World): Promise<{ session_id: string; tool_input: { subject?: string } }[]> {
  const { items } = await world.engine.call<{ items: Awaited<ReturnType<typeof recorded>> }>("list_executions", { limit: 200 });
  return items;
}

/** What the model got in a resumed turn. OpenClaw resumes it some seconds after the gateway is ready. */
async function resumed(world: World, subject: string): Promise<string> {
  const answer = () => lastAnswer(world.model.results(`"${subject}"`));
  const ended = () => ANSWERS.has(answer());
  await until(`the resumed turn of ${subject} ends`, ended);
  return `${mails(world.sink.count(subject))}; the model got ${answer()}`;
}

/** Kills the gateway between a tool's end and the transcript, and starts it again. */
async function crashBeforeTranscript(world: World, gateway: World["guarded"], subject: string): Promise<void> {
  gateway.stopBeforeTranscript();
  gateway.turn(subject, `CALL ${mail(subject)}`).catch(() => {});
  await gateway.stopped();
  await gateway.kill();
  await noneRuns(world);
  await gateway.start();
}

/** Waits until the leases of a dead gateway have expired. */
async function noneRuns(world: World): Promise<void> {
  await until("no execution is running", async () => {
    const { items } = await world.engine.call<{ items: unknown[] }>("list_executions", { status: "running" });
    return items.length === 0;
  });
}

export const INSTALLATION = "the plugin installs with one command (npm-pack)";

/** The cases, in the order that needs the fewest starts of a gateway. */
export const CASES: Case[] = [
  {
    name: INSTALLATION,
    expected: "installed",
    async run(world) {
      await world.guarded.configure();
      const args = [`npm-pack:${world.packed}`, "--force", "--accept-capabilities"];
      const output = await world.guarded.openclaw("plugins", "install", ...args);
      return /installed/i.test(output) ? "installed" : output;
    },
  },
  {
    name: "1: the same call in two turns, a legitimate repeat",
    expected: "2 mails",
    async run(world) {
      const gateway = await world.running(world.guarded);
      await gateway.turn("row1", `CALL ${mail("row 1")}`);
      await gateway.turn("row1", `CALL ${mail("row 1")}`);
      return mails(world.sink.count("row 1"));
    },
  },
  {
    name: "2: the same call twice in one run",
    expected: "1 mail; the model got the stored result",
    async run(world) {
      const gateway = await world.running(world.guarded);
      await gateway.turn("row2", `TWICE ${mail("row 2")}`);
      return `${mails(world.sink.count("row 2"))}; the model got ${lastAnswer(world.model.results("row 2"))}`;
    },
  },
  {
    name: "3: two identical calls in one message",
    expected: "1 mail; the second got: in flight",
    async run(world) {
      const gateway = await world.running(world.guarded);
      await gateway.turn("row3", `PAIR ${mail("row 3")}`);
      return `${mails(world.sink.count("row 3"))}; the second got: ${lastAnswer(world.model.results("row 3"))}`;
    },
  },
  {
    name: "4: SIGKILL after the effect, before the transcript",
    expected: "1 mail; the model got the stored result",
    async run(world) {
      const gateway = await world.running(world.guarded);
      // The call of case 6 is running at the same time, so one SIGKILL serves both cases.
      world.sink.holding = true;
      const arrives = world.sink.next();
      gateway.turn("row 6", `CALL ${mail("row 6")}`).catch(() => {});
      await arrives;
      world.sink.holding = false;
      await crashBeforeTranscript(world, gateway, "row 4");
      world.sink.release();
      return resumed(world, "row 4");
    },
  },
  {
    name: "6: SIGKILL during the effect (the same SIGKILL as in 4)",
    expected: "1 mail; the model got outcome unknown; settled as not run, the next call: 2 mails",
    async run(world) {
      const gateway = await world.running(world.guarded);
      const first = await resumed(world, "row 6");
      const { items } = await world.engine.call<{ items: { id: string; attempt: number }[] }>("list_executions", {
        status: "in_doubt",
        tool_name: "send_email",
      });
      const [doubt] = items;
      if (doubt === undefined) return `${first}; nothing is in doubt`;
      const verdict = { id: doubt.id, attempt: doubt.attempt, verdict: "not_executed", evidence: "the outbox is empty" };
      await world.engine.call("resolve_tool_execution", verdict);
      await gateway.turn("row 6", `CALL ${mail("row 6")}`);
      return `${first}; settled as not run, the next call: ${mails(world.sink.count("row 6"))}`;
    },
  },
  {
    name: "/tools/invoke, the same idempotencyKey twice",
    expected: "1 mail; 200, then 403 tool_call_blocked",
    async run(world) {
      const gateway = await world.running(world.guarded);
      const args = { to: "ann@example.org", subject: "invoked" };
      const first = await gateway.invoke("send_email", args, "order-17");
      const second = await gateway.invoke("send_email", args, "order-17");
      const count = mails(world.sink.count("invoked"));
      return `${count}; ${first.status}, then ${second.status} ${second.body.error?.type}`;
    },
  },
  {
    name: "/tools/invoke without a key is recorded and never held back",
    expected: "2 mails; 2 recorded",
    async run(world) {
      const gateway = await world.running(world.guarded);
      const args = { to: "ann@example.org", subject: "unkeyed" };
      await gateway.invoke("send_email", args);
      await gateway.invoke("send_email", args);
      const both = async () => (await recorded(world)).filter(({ tool_input }) => tool_input.subject === "unkeyed");
      await until("both are recorded", async () => (await both()).length >= 2);
      return `${mails(world.sink.count("unkeyed"))}; ${(await both()).length} recorded`;
    },
  },
  {
    name: "OpenClawAgent by /tools/invoke: a call, its repeat, and its repeat by a new copy",
    expected: "1 mail; 1 execution",
    async run(world) {
      const { url: gatewayUrl, token: gatewayToken } = await world.running(world.guarded);
      for (let copy = 0; copy < 2; copy += 1) {
        const agent = new OpenClawAgent({ userId: "program", engineUrl: world.engine.url, gatewayUrl, gatewayToken });
        await agent.init();
        await agent.execute("send_email", { to: "ann@example.org", subject: "program" });
        await agent.execute("send_email", { to: "ann@example.org", subject: "program" });
      }
      const executions = (await recorded(world)).filter(({ tool_input }) => tool_input.subject === "program");
      return `${mails(world.sink.count("program"))}; ${executions.length} execution`;
    },
  },
  {
    name: "a tool of an MCP server on stdio, twice in one run",
    expected: "1 mail; the model got the stored result",
    async run(world) {
      const gateway = await world.running(world.guarded);
      await gateway.turn("mcp", "TWICE outbox__send_mail {}");
      return `${mails(world.sink.count("by mcp"))}; the model got ${lastAnswer(world.model.results("outbox__send_mail"))}`;
    },
  },
  {
    name: "a sub-agent's tool, twice in its run",
    expected: "1 mail; recorded in the sub-agent's own session",
    async run(world) {
      const gateway = await world.running(world.guarded);
      const task = `TWICE ${mail("sub")}`;
      await gateway.turn("parent", `CALL sessions_spawn ${JSON.stringify({ task })}`);
      const replayed = () => lastAnswer(world.model.results('"sub"')) === "the stored result";
      await until("the sub-agent has called twice", replayed);
      const id = (await recorded(world)).find(({ tool_input }) => tool_input.subject === "sub")?.session_id;
      const session = await world.engine.call<{ metadata: { name: string } }>("get_session", { id });
      const own = session.metadata.name.includes(":subagent:") ? "the sub-agent's own session" : session.metadata.name;
      return `${mails(world.sink.count("sub"))}; recorded in ${own}`;
    },
  },
  {
    name: "engine down, onEngineDown: block",
    expected: "0 mails; the model got engine down; after its start: 1 mail",
    async run(world) {
      const gateway = await world.running(world.guarded);
      await world.engine.kill();
      await gateway.turn("down", `CALL ${mail("down")}`);
      const seen = `${mails(world.sink.count("down"))}; the model got ${lastAnswer(world.model.results("down"))}`;
      await world.engine.start();
      await noneRuns(world);
      await gateway.turn("down", `CALL ${mail("down")}`);
      return `${seen}; after its start: ${mails(world.sink.count("down"))}`;
    },
  },
  {
    name: "engine down, onEngineDown: allow (the setting is changed in the running gateway)",
    expected: "1 mail; the model got a result",
    async run(world) {
      const gateway = await world.running(world.guarded);
      await gateway.openclaw("config", "set", "plugins.entries.state-engine.config.onEngineDown", "allow");
      await world.engine.kill();
      try {
        // During a run, the gateway refuses to change a plugin, and does not retry later.
        await until("the gateway applies the setting", async () => {
          await gateway.openclaw("plugins", "reload", "state-engine").catch(() => {});
          await gateway.turn("allow", `CALL ${mail("allow")}`);
          return world.sink.count("allow") > 0;
        });
        return `${mails(world.sink.count("allow"))}; the model got ${lastAnswer(world.model.results("allow"))}`;
      } finally {
        await world.engine.start();
      }
    },
  },
  {
    name: "5: as 4, through Tool Search, with the ledger in the resumed prompt",
    expected: "1 mail; the model got the stored result; ledger: yes",
    async run(world) {
      await crashBeforeTranscript(world, await world.running(world.searching), "row 5");
      const seen = await resumed(world, "row 5");
      const ledger = world.model.read.includes("Tool calls of the interrupted turn");
      return `${seen}; ledger: ${ledger ? "yes" : "no"}`;
    },
  },
  {
    name: "control without the plugin: as 4",
    expected: "2 mails; the model got a result",
    async run(world) {
      await crashBeforeTranscript(world, await world.running(world.bare), "control");
      return resumed(world, "control");
    },
  },
  {
    name: "control without the plugin: /tools/invoke, the same idempotencyKey twice",
    expected: "2 mails; 200, then 200",
    async run(world) {
      const gateway = await world.running(world.bare);
      const args = { to: "ann@example.org", subject: "control invoked" };
      const first = await gateway.invoke("send_email", args, "order-18");
      const second = await gateway.invoke("send_email", args, "order-18");
      return `${mails(world.sink.count("control invoked"))}; ${first.status}, then ${second.status}`;
    },
  },
  {
    name: "proxy.proxyUrl at the engine's proxy, no plugin: a tool that uses fetch, twice",
    expected: "1 mail; the model got a result",
    async run(world) {
      const gateway = await world.running(world.proxied);
      await gateway.turn("fetched", `TWICE ${mail("fetched")}`);
      return `${mails(world.sink.count("fetched"))}; the model got ${lastAnswer(world.model.results("fetched"))}`;
    },
  },
  {
    name: "proxy.proxyUrl at the engine's proxy, no plugin: exec runs curl, twice",
    expected: "1 mail; the model got a result",
    async run(world) {
      const gateway = await world.running(world.proxied);
      const command = `curl -sS -d 'subject="curled"' ${world.sink.url}`;
      await gateway.turn("curled", `TWICE exec ${JSON.stringify({ command })}`);
      return `${mails(world.sink.count("curled"))}; the model got ${lastAnswer(world.model.results("curled"))}`;
    },
  },
];
