// A client of the conformance suite, with the protocol's own SDK: calls each tool of the server once.
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

const client = new Client({ name: "conforming", version: "1.0.0" }, { capabilities: {} });
await client.connect(new StreamableHTTPClientTransport(new URL(process.argv.at(-1))));
const { tools } = await client.listTools();
for (const { name } of tools) {
  const args = name === "add_numbers" ? { a: 5, b: 3 } : {};
  console.log(JSON.stringify(await client.callTool({ name, arguments: args })));
}
await client.close();
// The scenario's server keeps a stream open.
process.exit(0);
