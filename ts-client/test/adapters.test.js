import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Agent, run, setTracingDisabled, Usage } from "@openai/agents";
import { durable as durableAi } from "@openclaw/ts-client/ai";
import { durable as durableLangchain } from "@openclaw/ts-client/langchain";
import { durable as durableOpenai } from "@openclaw/ts-client/openai-agents";
import { generateText, stepCountIs, tool as aiTool } from "ai";
import { MockLanguageModelV4 } from "ai/test";
import { AIMessage, createAgent, fakeModel, tool as langchainTool } from "langchain";
import { z } from "zod";

import { begin, Engine } from "./support.js";

let engine;
before(async () => {
  engine = await Engine.start();
});
after(() => engine.remove());

const schema = z.object({ to: z.string() });

async function outbox() {
  const { client, userId, sessionId, goalId } = await begin(engine);
  const sent = [];
  const send = ({ to }) => {
    sent.push(to);
    if (to === "broken") throw new Error("socket hang up");
    return { number: sent.length };
  };
  return { sent, send, scope: { client, userId, sessionId, goalId } };
}

test("LangChain: a middleware of createAgent", async () => {
  const { sent, send, scope } = await outbox();
  const sendMail = langchainTool(send, { name: "send_mail", description: "sends mail", schema });
  const ask = async (args, options) => {
    const model = fakeModel().respondWithTools([{ name: "send_mail", args, id: `c${Math.random()}` }]);
    model.respond(new AIMessage("done"));
    const agent = createAgent({ model, tools: [sendMail], middleware: [durableLangchain({ ...scope, ...options })] });
    const { messages } = await agent.invoke({ messages: [{ role: "user", content: "write to ann" }] });
    return messages.find((message) => message.type === "tool");
  };
  const [first, again] = [await ask({ to: "ann" }), await ask({ to: "ann" })];
  assert.equal(first.content, '{"number":1}');
  assert.deepEqual([again.content, again.name], [first.content, "send_mail"]);
  assert.notEqual(again.tool_call_id, first.tool_call_id);

  for (const _ of [1, 2]) {
    const doubtful = await ask({ to: "broken" });
    assert.equal(doubtful.status, "error");
    assert.match(doubtful.content, /may already have taken effect/);
  }
  assert.equal((await ask({ wrong: 1 })).status, "error");
  assert.match((await ask({ to: "ann" }, { only: ["charge"] })).content, /"number":3/);
  assert.deepEqual(sent, ["ann", "broken", "ann"]);
  const statuses = (await scope.client.listToolExecutions(scope.goalId)).map(({ status }) => status);
  assert.deepEqual(statuses, ["completed", "in_doubt", "failed"]);
});

test("Vercel AI SDK: a map of tools", async () => {
  const { sent, send, scope } = await outbox();
  const tools = durableAi(
    {
      send_mail: aiTool({ description: "sends mail", inputSchema: schema, execute: send }),
      slowly: aiTool({
        description: "sends mail, and reports progress",
        inputSchema: schema,
        async *execute(input) {
          yield "sending";
          yield send(input);
        },
      }),
    },
    scope,
  );
  const usage = { inputTokens: { total: 1 }, outputTokens: { total: 1 } };
  const ask = async (toolName, to) => {
    const call = { type: "tool-call", toolCallId: `c${Math.random()}`, toolName, input: JSON.stringify({ to }) };
    const model = new MockLanguageModelV4({
      doGenerate: [
        { content: [call], finishReason: { unified: "tool-calls" }, usage, warnings: [] },
        { content: [{ type: "text", text: "done" }], finishReason: { unified: "stop" }, usage, warnings: [] },
      ],
    });
    const { steps } = await generateText({ model, tools, stopWhen: stepCountIs(2), prompt: "write" });
    return steps[0].content.find(({ type }) => type === "tool-result" || type === "tool-error");
  };
  for (const _ of [1, 2]) assert.deepEqual((await ask("send_mail", "ann")).output, { number: 1 });
  for (const _ of [1, 2]) assert.deepEqual((await ask("slowly", "bob")).output, { number: 2 });
  for (const _ of [1, 2]) assert.match((await ask("send_mail", "broken")).error.message, /may already have taken effect/);
  assert.deepEqual(sent, ["ann", "bob", "broken"]);
});

test("OpenAI Agents: tool()", async () => {
  setTracingDisabled(true);
  const { sent, send, scope } = await outbox();
  const tool = durableOpenai(scope);
  const sendMail = tool({ name: "send_mail", description: "sends mail", parameters: schema, execute: send });
  const ask = async (to) => {
    const callId = `c${Math.random()}`;
    const outputs = [
      { type: "function_call", callId, name: "send_mail", status: "completed", arguments: JSON.stringify({ to }) },
      { type: "message", role: "assistant", status: "completed", content: [{ type: "output_text", text: "done" }] },
    ];
    const model = {
      getResponse: async () => ({ usage: new Usage(), output: [outputs.shift()] }),
      getStreamedResponse: () => assert.fail("no response is streamed"),
    };
    const { newItems } = await run(new Agent({ name: "writer", model, tools: [sendMail] }), "write");
    return newItems.find(({ type }) => type === "tool_call_output_item").output;
  };
  for (const _ of [1, 2]) assert.deepEqual(await ask("ann"), { number: 1 });
  for (const _ of [1, 2]) assert.match(await ask("broken"), /^IN_DOUBT: send_mail may already have taken effect/);
  assert.deepEqual(sent, ["ann", "broken"]);
});
