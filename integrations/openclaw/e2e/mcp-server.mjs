// An MCP server on stdio with one tool that acts. It uses the same SDK as OpenClaw.
const { MCP_SDK, MAIL_SINK } = process.env;
const { McpServer } = await import(`${MCP_SDK}/server/mcp.js`);
const { StdioServerTransport } = await import(`${MCP_SDK}/server/stdio.js`);

const server = new McpServer({ name: "outbox", version: "1.0.0" });
server.registerTool("send_mail", { description: "Sends an e-mail" }, async () => {
  const answer = await fetch(MAIL_SINK, { method: "POST", body: '{"subject":"by mcp"}' });
  return { content: [{ type: "text", text: await answer.text() }] };
});
await server.connect(new StdioServerTransport());
