import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import vm from "node:vm";

import { assertJson, wrapTools } from "@openclaw/ts-client";

import { begin, Engine } from "./support.js";

let engine;
before(async () => {
  engine = await Engine.start();
});
after(() => engine.remove());

const cyclic = {};
cyclic.list = [{ cyclic }];
const holes = [1];
holes.length = 2;

/** What JSON.stringify would change, leave out or read twice. */
const REFUSED = {
  "a Map": new Map([["to", "ann"]]),
  "a Set": new Set(["ann"]),
  "a WeakMap": new WeakMap(),
  "FormData": new FormData(),
  "a Blob": new Blob(["ann"]),
  "a File": new File(["ann"], "a"),
  "Headers": new Headers({ to: "ann" }),
  "an AbortSignal": AbortSignal.abort(),
  "an Error": new Error("ann"),
  "a RegExp": /ann/,
  "a class instance": new (class Mail {
    to = "ann";
  })(),
  "a boxed string": new String("ann"),
  "an ArrayBuffer": new ArrayBuffer(1),
  "a Uint8Array": new Uint8Array([1]),
  "a DataView": new DataView(new ArrayBuffer(1)),
  "a Promise": Promise.resolve("ann"),
  "a generator": (function* () {})(),
  "a BigInt": 1n,
  "a function": () => "ann",
  "a symbol": Symbol("ann"),
  "NaN": Number.NaN,
  "Infinity": -Infinity,
  "-0": -0,
  "an invalid date": new Date(Number.NaN),
  "undefined in an array": [undefined],
  "an array with holes": holes,
  "an array with names": Object.assign([1], { to: "ann" }),
  "a cycle": cyclic,
  "a getter": {
    get to() {
      return "ann";
    },
  },
  "a symbol as a name": { [Symbol("to")]: "ann" },
  "toJSON that returns a Map": { toJSON: () => new Map() },
  "a Map of another realm": vm.runInNewContext("new Map()"),
};

const ACCEPTED = [
  null,
  "",
  "\ud83d\ude00",
  0,
  -1.5e300,
  true,
  [],
  {},
  { a: undefined, b: [null, { c: "d" }] },
  Object.assign(Object.create(null), { a: 1 }),
  new Date(0),
  new URL("http://a.example/"),
  Buffer.from("a"),
  { same: [holes.slice(0, 1), holes.slice(0, 1)] },
  vm.runInNewContext("({ a: [1] })"),
  JSON.parse('{"__proto__": 1}'),
];

test("an input that JSON cannot carry is refused before anything runs or is recorded", async () => {
  const { client, userId, sessionId, goalId } = await begin(engine);
  const never = () => assert.fail("it ran");
  const { send } = wrapTools({ send: never }, { client, userId, sessionId, goalId });
  for (const [name, value] of Object.entries(REFUSED)) {
    for (const [input, place] of [
      [value, /^tool_input/],
      [{ mail: [value] }, /^tool_input\["mail"\]/],
    ]) {
      const says = (error) => error instanceof TypeError && place.test(error.message) && /JSON/.test(error.message);
      const call = { userId, sessionId, goalId, tool: "send", input };
      await assert.rejects(client.runTool(call, never), says, name);
      await assert.rejects(send(input), says, name);
      await assert.rejects(client.createToolExecution(userId, sessionId, goalId, "send", input), says, name);
    }
  }
  assert.deepEqual(await client.listSessionExecutions(sessionId), []);
});

test("what JSON carries is recorded as it is", async () => {
  const { client, userId, sessionId, goalId } = await begin(engine);
  for (const [n, input] of ACCEPTED.entries()) {
    const call = { userId, sessionId, goalId, tool: `send-${n}`, input };
    assert.equal(await client.runTool(call, () => n), n);
    const [execution] = (await client.listSessionExecutions(sessionId)).filter(({ tool_name }) => tool_name === call.tool);
    assert.deepEqual(execution.tool_input, JSON.parse(JSON.stringify(input)));
  }
});

test("a call that leaves out its last arguments is the same call", async () => {
  const { client, userId, sessionId, goalId } = await begin(engine);
  let runs = 0;
  const { send } = wrapTools({ send: () => (runs += 1) }, { client, userId, sessionId, goalId });
  for (const args of [[1], [1, undefined], [1, undefined, undefined]]) assert.equal(await send(...args), 1);
  assert.equal(await send(1, 2), 2);
});

test("assertJson checks a value of the caller's own", () => {
  assertJson({ a: 1 }, "params");
  assert.throws(() => assertJson({ a: [new Map()] }, "params"), /^TypeError: params\["a"\]\["0"\] is a Map, which JSON cannot carry/);
});
