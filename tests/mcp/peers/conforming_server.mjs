// A server with every feature of the conformance suite, built with the protocol's own SDK. It prints its
// port on stdout.
import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { Server } from "@modelcontextprotocol/sdk/server/index.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import * as types from "@modelcontextprotocol/sdk/types.js";

const PNG =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==";
const WAV = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAA=";

const text = (text) => ({ type: "text", text });
const image = { type: "image", data: PNG, mimeType: "image/png" };
const audio = { type: "audio", data: WAV, mimeType: "audio/wav" };
const resource = (uri, mimeType, text) => ({ type: "resource", resource: { uri, mimeType, text } });
const object = (properties = {}) => ({ type: "object", properties, required: Object.keys(properties) });
const titled = (...pairs) => pairs.map(([value, title]) => ({ const: value, title }));

const DEFAULTS = {
  name: { type: "string", default: "John Doe" },
  age: { type: "integer", default: 30 },
  score: { type: "number", default: 95.5 },
  status: { type: "string", enum: ["active", "inactive", "pending"], default: "active" },
  verified: { type: "boolean", default: true },
};

const options = ["option1", "option2", "option3"];
const ENUMS = {
  untitledSingle: { type: "string", enum: options },
  titledSingle: {
    type: "string",
    oneOf: titled(["value1", "First Option"], ["value2", "Second Option"], ["value3", "Third Option"]),
  },
  legacyEnum: {
    type: "string",
    enum: ["opt1", "opt2", "opt3"],
    enumNames: ["Option One", "Option Two", "Option Three"],
  },
  untitledMulti: { type: "array", items: { type: "string", enum: options } },
  titledMulti: {
    type: "array",
    items: { anyOf: titled(["value1", "First Choice"], ["value2", "Second Choice"], ["value3", "Third Choice"]) },
  },
};

async function elicit(extra, message, properties, required = []) {
  const requestedSchema = { type: "object", properties, required };
  const request = { method: "elicitation/create", params: { message, requestedSchema } };
  return extra.sendRequest(request, types.ElicitResultSchema);
}

const summary = ({ action, content }) => `action=${action}, content=${JSON.stringify(content ?? {})}`;

// Each gets the arguments and the call, and returns the content of its result.
const TOOLS = {
  test_simple_text: () => [text("This is a simple text response for testing.")],
  test_image_content: () => [image],
  test_audio_content: () => [audio],
  test_embedded_resource: () => [
    resource("test://embedded-resource", "text/plain", "This is an embedded resource content."),
  ],
  test_multiple_content_types: () => [
    text("Multiple content types test:"),
    image,
    resource("test://mixed-content-resource", "application/json", '{"test":"data","value":123}'),
  ],
  async test_tool_with_logging(_, extra) {
    for (const data of ["Tool execution started", "Tool processing data", "Tool execution completed"]) {
      await extra.sendNotification({ method: "notifications/message", params: { level: "info", data } });
      await sleep(50);
    }
    return [text("done")];
  },
  async test_tool_with_progress(_, extra) {
    for (const progress of [0, 50, 100]) {
      const params = { progressToken: extra._meta?.progressToken, progress, total: 100 };
      await extra.sendNotification({ method: "notifications/progress", params });
      await sleep(50);
    }
    return [text("done")];
  },
  test_error_handling() {
    throw new Error("This tool intentionally returns an error for testing");
  },
  async test_sampling({ prompt }, extra) {
    const messages = [{ role: "user", content: text(prompt) }];
    const request = { method: "sampling/createMessage", params: { messages, maxTokens: 100 } };
    const { content } = await extra.sendRequest(request, types.CreateMessageResultSchema);
    return [text(`LLM response: ${content.text}`)];
  },
  async test_elicitation({ message }, extra) {
    const properties = {
      username: { type: "string", description: "User's response" },
      email: { type: "string", description: "User's email address" },
    };
    const answer = await elicit(extra, message, properties, Object.keys(properties));
    return [text(`User response: ${summary(answer)}`)];
  },
  async test_elicitation_sep1034_defaults(_, extra) {
    return [text(`Elicitation completed: ${summary(await elicit(extra, "With defaults", DEFAULTS))}`)];
  },
  async test_elicitation_sep1330_enums(_, extra) {
    return [text(`Elicitation completed: ${summary(await elicit(extra, "With enums", ENUMS))}`)];
  },
  // Ends its stream. The client gets the response when it resumes the stream.
  async test_reconnection(_, extra) {
    extra.closeSSEStream?.();
    await sleep(100);
    return [text("Reconnection test completed")];
  },
  json_schema_2020_12_tool: () => [text("done")],
};

const SCHEMAS = {
  test_sampling: object({ prompt: { type: "string" } }),
  test_elicitation: object({ message: { type: "string" } }),
  json_schema_2020_12_tool: {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    type: "object",
    $defs: {
      address: { type: "object", properties: { street: { type: "string" }, city: { type: "string" } } },
    },
    properties: { name: { type: "string" }, address: { $ref: "#/$defs/address" } },
    additionalProperties: false,
  },
};

const user = (...contents) => contents.map((content) => ({ role: "user", content }));
const PROMPTS = {
  test_simple_prompt: [[], () => user(text("This is a simple prompt for testing."))],
  test_prompt_with_arguments: [
    ["arg1", "arg2"],
    ({ arg1, arg2 }) => user(text(`Prompt with arguments: arg1='${arg1}', arg2='${arg2}'`)),
  ],
  test_prompt_with_embedded_resource: [
    ["resourceUri"],
    ({ resourceUri }) =>
      user(
        resource(resourceUri, "text/plain", "Embedded resource content for testing."),
        text("Please process the embedded resource above."),
      ),
  ],
  test_prompt_with_image: [[], () => user(image, text("Please analyze the image above."))],
};

const RESOURCES = {
  "test://static-text": { mimeType: "text/plain", text: "This is the content of the static text resource." },
  "test://static-binary": { mimeType: "image/png", blob: PNG },
  "test://watched-resource": { mimeType: "text/plain", text: "Watched." },
};

function contents(uri) {
  const id = uri.match(/^test:\/\/template\/(.*)\/data$/)?.[1];
  const data = { id, templateTest: true, data: `Data for ID: ${id}` };
  const templated = { mimeType: "application/json", text: JSON.stringify(data) };
  return [{ uri, ...(id ? templated : RESOURCES[uri]) }];
}

function server() {
  const capabilities = {
    tools: {},
    prompts: {},
    resources: { subscribe: true },
    logging: {},
    completions: {},
  };
  const server = new Server({ name: "conforming", version: "1.0.0" }, { capabilities });
  const on = (schema, handler) => server.setRequestHandler(schema, handler);
  on(types.SetLevelRequestSchema, () => ({}));
  on(types.CompleteRequestSchema, () => ({ completion: { values: [], total: 0, hasMore: false } }));
  on(types.ListToolsRequestSchema, () => ({
    tools: Object.keys(TOOLS).map((name) => ({
      name,
      description: `For ${name}`,
      inputSchema: SCHEMAS[name] ?? object(),
    })),
  }));
  on(types.CallToolRequestSchema, async ({ params }, extra) => {
    try {
      return { content: await TOOLS[params.name](params.arguments ?? {}, extra) };
    } catch (error) {
      return { isError: true, content: [text(error.message)] };
    }
  });
  on(types.ListPromptsRequestSchema, () => ({
    prompts: Object.entries(PROMPTS).map(([name, [words]]) => ({
      name,
      description: `For ${name}`,
      arguments: words.map((name) => ({ name, description: name, required: true })),
    })),
  }));
  on(types.GetPromptRequestSchema, ({ params }) => ({
    messages: PROMPTS[params.name][1](params.arguments ?? {}),
  }));
  on(types.ListResourcesRequestSchema, () => ({
    resources: Object.entries(RESOURCES).map(([uri, { mimeType }]) => ({
      uri,
      name: uri,
      description: uri,
      mimeType,
    })),
  }));
  on(types.ListResourceTemplatesRequestSchema, () => ({
    resourceTemplates: [
      { uriTemplate: "test://template/{id}/data", name: "template", description: "By its id" },
    ],
  }));
  on(types.ReadResourceRequestSchema, ({ params }) => ({ contents: contents(params.uri) }));
  on(types.SubscribeRequestSchema, () => ({}));
  on(types.UnsubscribeRequestSchema, () => ({}));
  return server;
}

// The events of all streams, so that a client can resume one.
const events = [];
const eventStore = {
  async storeEvent(stream, message) {
    return String(events.push({ stream, message }));
  },
  async replayEventsAfter(last, { send }) {
    const { stream } = events[last - 1];
    for (const [index, event] of events.entries()) {
      const isData = event.message && Object.keys(event.message).length > 0;
      if (index >= Number(last) && event.stream === stream && isData) {
        await send(String(index + 1), event.message);
      }
    }
    return stream;
  },
};

const sessions = new Map();
async function transportOf(request) {
  const session = sessions.get(request.headers["mcp-session-id"]);
  if (session) return session;
  const transport = new StreamableHTTPServerTransport({
    sessionIdGenerator: randomUUID,
    onsessioninitialized: (id) => void sessions.set(id, transport),
    eventStore,
    retryInterval: 100,
  });
  await server().connect(transport);
  return transport;
}

const isLocal = (name) => /^(https?:\/\/)?(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$/.test(name);
const http = createServer(async (request, response) => {
  const { host, origin } = request.headers;
  if (!isLocal(host) || (origin && !isLocal(origin))) {
    response.writeHead(403).end();
    return;
  }
  await (await transportOf(request)).handleRequest(request, response);
});
http.listen(0, "127.0.0.1", () => console.log(http.address().port));
