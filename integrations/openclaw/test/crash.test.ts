import assert from "node:assert/strict";
import { test } from "node:test";
import { Host } from "./host.ts";
import { engineOfThisFile, mail, type Recorded, recorded } from "./world.ts";

const engine = await engineOfThisFile();

const entries = { "state-engine": { hooks: { allowConversationAccess: true } } };
const start = () => Host.start({ engineUrl: engine.url }, { plugins: { entries } });

function resumed(session: string | undefined, runId: string): unknown {
  const inputProvenance = { kind: "internal_system", sourceTool: "main_session_restart_recovery" };
  return { agentId: "main", sessionKey: session, runId, inputProvenance };
}

test("SIGKILL after the effect: the run that resumes gets the result, and in the next run the call runs again", async () => {
  const first = await start();
  const session = "agent:main:crashed";
  await first.call(mail("delivered", "r1", { session }), () => "mail 1");
  const lost = mail("lost", "r1", { session });
  assert.equal(await first.before(lost), undefined);
  await first.ended(lost, "mail 2");
  await first.kill();

  const second = await start();
  assert.match(await second.call(mail("lost", "r2", { session }), () => "mail 3"), /Already done.*mail 2/s);
  const again = await second.call(mail("delivered", "r2", { session }), () => "mail 3");
  assert.match(again, /Already done.*mail 1/s, "the resumed run should count as the same run");
  assert.equal(await second.call(mail("lost", "r3", { session }), () => "mail 3"), "mail 3");
  assert.equal(await second.call(mail("delivered", "r3", { session }), () => "mail 4"), "mail 4");
  await second.kill();
});

test("SIGKILL after the effect: a result in the resumed prompt counts as delivered at the end of that run", async () => {
  const first = await start();
  const lost = mail("listed", "r1");
  assert.equal(await first.before(lost), undefined);
  await first.ended(lost, "mail 1");
  await first.kill();

  const second = await start();
  const prompt = await second.hook<{ prependContext: string }>("before_prompt_build", {}, resumed(lost.session, "r2"));
  assert.match(prompt.prependContext, /send_email.*completed before the interruption; result: mail 1/);
  await second.hook("agent_end", { runId: "r2" }, resumed(lost.session, "r2"));
  assert.equal(await second.call(mail("listed", "r3"), () => "mail 2"), "mail 2");
  await second.kill();
});

test("SIGKILL during the effect: the running call is in doubt until a person settles it", async () => {
  const first = await Host.start({ engineUrl: engine.url });
  assert.equal(await first.before(mail("cut off", "r1")), undefined);
  await first.kill();

  const second = await Host.start({ engineUrl: engine.url });
  const soon = await second.before(mail("cut off", "r2"));
  assert.match(soon?.blockReason ?? "", /by another process, and no outcome is known yet/);
  const [{ id, attempt }] = (await recorded(engine, "send_email")).filter(
    ({ tool_input }) => tool_input["subject"] === "cut off",
  ) as [Recorded];
  await engine.call("await_tool_execution", { id, timeout_ms: 30_000 });
  const later = await second.before(mail("cut off", "r2"));
  assert.match(later?.blockReason ?? "", new RegExp(`UNKNOWN.*resolve ${id} --ran`, "s"));
  const verdict = { id, attempt, verdict: "not_executed", evidence: "the outbox is empty" };
  await engine.call("resolve_tool_execution", verdict);
  assert.equal(await second.call(mail("cut off", "r3"), () => "sent at last"), "sent at last");
  const [settled] = (await recorded(engine, "send_email")).filter((one) => one.id === id);
  assert.deepEqual([settled?.status, settled?.attempt], ["completed", attempt + 1]);
  await second.kill();
});

test("a session that a person ended in the engine continues in a new one", async () => {
  const host = await Host.start({ engineUrl: engine.url });
  assert.equal(await host.call(mail("ended", "r1"), () => "sent"), "sent");
  const [{ session_id }] = (await recorded(engine, "send_email")).filter(
    ({ tool_input }) => tool_input["subject"] === "ended",
  ) as [Recorded];
  await engine.call("update_session", { session: { id: session_id, status: "completed" } });
  assert.equal(await host.call(mail("ended", "r2"), () => "sent again"), "sent again");
  await host.kill();
});
