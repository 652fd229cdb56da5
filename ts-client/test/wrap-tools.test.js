import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { wrapTools } from "@openclaw/ts-client";

import { begin, Engine } from "./support.js";

let engine;
before(async () => {
  engine = await Engine.start();
});
after(() => engine.remove());

test("functions and objects with execute take effect once, and the rest of an object is unchanged", async () => {
  const { client, userId, sessionId, goalId } = await begin(engine);
  const sent = [];
  class Mailer {
    #box = sent;
    description = "sends mail";
    execute(input) {
      this.#box.push(input.to);
      return { number: this.#box.length };
    }
  }
  const tools = {
    add: (a, b) => {
      sent.push("added");
      return a + b;
    },
    mail: new Mailer(),
    screen: { description: "runs in the browser" },
  };
  const wrapped = wrapTools(tools, { client, userId, sessionId, goalId });
  assert.deepEqual([await wrapped.add(1, 2), await wrapped.add(1, 2)], [3, 3]);
  assert.deepEqual(await wrapped.mail.execute({ to: "ann" }), { number: 2 });
  assert.deepEqual(await wrapped.mail.execute({ to: "ann" }), { number: 2 });
  assert.deepEqual(await wrapped.mail.execute({ to: "bob" }), { number: 3 });
  assert.deepEqual(sent, ["added", "ann", "bob"]);
  assert.ok(wrapped.mail instanceof Mailer);
  assert.equal(wrapped.mail.description, "sends mail");
  assert.equal(wrapped.screen, tools.screen);
  const [added] = await client.listToolExecutions(goalId);
  assert.deepEqual([added.tool_name, added.tool_input, added.output], ["add", [1, 2], 3]);
});

test("the key can be derived from the framework's call id", async () => {
  const { client, userId, sessionId, goalId } = await begin(engine);
  let runs = 0;
  const key = ({ tool, callId }) => `${tool}/${callId}`;
  const { mail } = wrapTools({ mail: { execute: () => ++runs } }, { client, userId, sessionId, goalId, key });
  assert.equal(await mail.execute({}, { toolCallId: "c1" }), 1);
  assert.equal(await mail.execute({}, { toolCallId: "c1" }), 1);
  assert.equal(await mail.execute({}, { toolCallId: "c2" }), 2);
});

test("a tool that would run unguarded is refused", async () => {
  const scope = await begin(engine);
  assert.throws(() => wrapTools({ mail: { invoke() {} } }, scope), /mail has no execute/);
  assert.throws(() => wrapTools({ mail: "send" }, scope), /mail is not a tool/);
});
