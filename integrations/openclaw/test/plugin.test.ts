import assert from "node:assert/strict";
import { after, test } from "node:test";
import { until } from "../e2e/gateway.ts";
import { Host } from "./host.ts";
import { engineOfThisFile, mail, recorded } from "./world.ts";

const engine = await engineOfThisFile();
const host = await Host.start({ engineUrl: engine.url });

after(() => host.kill());

test("the same call in two runs takes effect twice", async () => {
  let effects = 0;
  const effect = () => `mail ${(effects += 1)}`;
  assert.equal(await host.call(mail("two runs", "r1"), effect), "mail 1");
  assert.equal(await host.call(mail("two runs", "r2"), effect), "mail 2");
});

test("the same call twice in one run takes effect once", async () => {
  const first = mail("one run", "r1");
  assert.equal(await host.call(first, () => "mail sent"), "mail sent");
  const again = mail("one run", "r1");
  const blocked = await host.before(again);
  assert.match(blocked?.blockReason ?? "", /Already done, NOT run again.*mail sent/s);
  const written = await host.persisted(again, blocked?.blockReason ?? "");
  assert.equal(written?.message.isError, false, "a replayed result should not be an error in the transcript");
});

test("exec: a repeat runs if the result was delivered, and is a replay if not", async () => {
  const exec = (id: string) => ({ tool: "exec", params: { command: "make test" }, run: "r1", id, session: "agent:main:exec" });
  const lost = exec("exec_1");
  assert.equal(await host.before(lost), undefined);
  await host.ended(lost, "1 failed");
  assert.match(await host.call(exec("exec_2"), () => "all passed"), /Already done.*1 failed/s);
  assert.equal(await host.call(exec("exec_3"), () => "all passed"), "all passed");
});

test("session: a call runs once in the session, across runs and processes", async () => {
  const tools = { "pay_*": "session" };
  const pay = (run: string, amount = 7) => ({ tool: "pay_bill", params: { amount }, run, id: `pay_${run}_${amount}`, session: "agent:main:pay" });
  const first = await Host.start({ engineUrl: engine.url, tools });
  assert.equal(await first.call(pay("r1"), () => "paid"), "paid");
  assert.match(await first.call(pay("r2"), () => "paid again"), /Already done.*paid/s);
  const failing = pay("r2", 8);
  assert.equal(await first.before(failing), undefined);
  await first.ended(failing, "no funds", { isError: true });
  await first.persisted(failing, "no funds");
  assert.equal(await first.call(pay("r3", 8), () => "paid 8"), "paid 8");
  assert.equal(await first.call(pay("r4", 9), () => "paid 9"), "paid 9");
  await first.kill();
  const second = await Host.start({ engineUrl: engine.url, tools });
  assert.match(await second.call(pay("r5"), () => "paid again"), /Already done.*paid/s);
  assert.match(await second.call(pay("r5", 8), () => "paid again"), /Already done.*paid 8/s);
  await second.kill();
});

test("of two equal calls at the same time one runs, and the other is blocked at once", async () => {
  const [one, other] = [mail("concurrent", "r1"), mail("concurrent", "r1")];
  const answers = await Promise.all([host.before(one), host.before(other)]);
  assert.deepEqual(answers.map((blocked) => blocked?.block), [undefined, true]);
  assert.match(answers[1]?.blockReason ?? "", /being executed right now/);
  await host.ended(one, "mail sent");
});

test("the order of members does not distinguish calls, but the session does", async () => {
  const params = { subject: "order", to: "ann@example.org" };
  await host.call(mail("order", "r1"), () => "sent");
  const blocked = await host.before(mail("order", "r1", { params }));
  assert.match(blocked?.blockReason ?? "", /Already done/);
  assert.equal(await host.before(mail("order", "r1", { session: "agent:main:other" })), undefined);
});

test("a failed call may be repeated once its error was delivered", async () => {
  const failing = mail("failing", "r1");
  assert.equal(await host.before(failing), undefined);
  await host.ended(failing, "mailbox full", { details: { status: "error" } });
  const unseen = await host.before(mail("failing", "r1"));
  assert.match(unseen?.blockReason ?? "", /ended with an error.*mailbox full/s);
  await host.persisted(failing, "mailbox full");
  assert.equal(await host.before(mail("failing", "r1")), undefined);
});

test("a call that another plugin blocked did not run", async () => {
  const refused = mail("refused", "r1");
  assert.equal(await host.before(refused), undefined);
  await host.ended(refused, "no", { isError: true, details: { status: "blocked" } });
  const [execution] = (await recorded(engine, "send_email")).filter(({ tool_input }) => tool_input["subject"] === "refused");
  assert.equal(execution?.outcome, "not_executed");
});

test("a result that the host made up is not a delivery", async () => {
  const lost = mail("made up", "r1");
  assert.equal(await host.before(lost), undefined);
  await host.ended(lost, "sent");
  await host.persisted(lost, "missing tool result", true);
  const blocked = await host.before(mail("made up", "r2"));
  assert.match(blocked?.blockReason ?? "", /Already done/);
});

test("a call inside Tool Search is delivered with the result of the outer call", async () => {
  const inner = mail("inner", "r1", { id: "tool_search_code:call_outer:send_email:1" });
  const outer = { ...inner, tool: "tool_call", id: "call_outer" };
  assert.equal(await host.before(outer), undefined);
  assert.equal(await host.before(inner), undefined);
  await host.hook(
    "after_tool_call",
    { toolName: inner.tool, toolCallId: inner.id, params: inner.params, result: { content: [{ type: "text", text: "sent" }] } },
    { sessionKey: inner.session },
  );
  await host.ended(outer, "sent");
  await host.persisted(outer, "sent");
  assert.equal(await host.before(mail("inner", "r2")), undefined, "its result was delivered, so it should run again");
});

test("reads are recorded without their output, and never held back", async () => {
  const look = { tool: "get_weather", params: { city: "Bonn", api_key: "hunter2" }, run: "r1" };
  for (const id of ["look_1", "look_2"]) {
    assert.equal(await host.before({ ...look, id }), undefined);
    await host.ended({ ...look, id }, "rain");
  }
  await until("the ends of both calls are recorded", async () => {
    const looks = await recorded(engine, "get_weather");
    return looks.length === 2 && looks.every(({ status }) => status === "completed");
  });
  const looks = await recorded(engine, "get_weather");
  assert.deepEqual(looks.map(({ output }) => output), [null, null]);
  assert.equal(looks[0]?.tool_input["api_key"], "[masked]");
});

test("/tools/invoke: a key passes once; calls without a key and OpenClawAgent's calls always pass", async () => {
  const run = "none";
  const params = { subject: "invoked" };
  const invoked = (id: string, more = params) => host.before({ tool: "send_email", params: more, run, id });
  assert.equal(await invoked("http-direct-operator-order-1"), undefined);
  assert.match((await invoked("http-direct-operator-order-1"))?.blockReason ?? "", /passed to the tool/);
  const other = await invoked("http-direct-operator-order-1", { subject: "another" });
  assert.match(other?.blockReason ?? "", /different arguments/);
  for (const blank of ["   ", "\t", "\u00a0", "\u200b"]) {
    const held = await invoked(`http-direct-operator-${blank}`);
    assert.match(held?.blockReason ?? "", /idempotencyKey must not be blank: leave it out, or send 1 to 255/);
  }
  assert.equal(await invoked("http-direct-operator-1763850000000"), undefined);
  assert.equal(await invoked("http-direct-operator-1763850000001"), undefined);
  assert.equal(await invoked("http-direct-operator-ose:order-2"), undefined);
  assert.equal(await invoked("http-direct-operator-ose:order-2"), undefined);
});

test("/tools/invoke between two calls of a run does not end the run", async () => {
  await host.call(mail("between", "r1"), () => "sent");
  const event = { toolName: "send_email", params: {}, toolCallId: "http-direct-operator-key-9" };
  const context = { agentId: "main", sessionKey: "agent:main:between" };
  assert.equal(await host.hook("before_tool_call", event, context), undefined);
  const blocked = await host.before(mail("between", "r1"));
  assert.match(blocked?.blockReason ?? "", /Already done/);
});

test("the plugin registers hooks that see the conversation only if the operator allows them", async () => {
  assert.ok(!host.hooks.includes("before_prompt_build"));
  const entries = { "state-engine": { hooks: { allowConversationAccess: true } } };
  const allowed = await Host.start({ engineUrl: engine.url }, { plugins: { entries } });
  assert.ok(allowed.hooks.includes("before_prompt_build"));
  await allowed.kill();
});
