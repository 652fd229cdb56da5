// A client of the conformance suite, with the protocol's own SDK: calls each tool of the server once,
// and authorizes if the server requires it.
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { UnauthorizedError } from "@modelcontextprotocol/sdk/client/auth.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { ElicitRequestSchema } from "@modelcontextprotocol/sdk/types.js";

const url = new URL(process.argv.at(-1));

// The suite's authorization server asks no user: it redirects with a code immediately.
let code;
const kept = {};
const authProvider = {
  redirectUrl: "http://localhost:3000/callback",
  clientMetadata: {
    client_name: "conforming",
    redirect_uris: ["http://localhost:3000/callback"],
    grant_types: ["authorization_code", "refresh_token"],
    response_types: ["code"],
  },
  clientMetadataUrl: "https://conformance-test.local/client-metadata.json",
  clientInformation: () => kept.client,
  saveClientInformation: (client) => void (kept.client = client),
  tokens: () => kept.tokens,
  saveTokens: (tokens) => void (kept.tokens = tokens),
  codeVerifier: () => kept.verifier,
  saveCodeVerifier: (verifier) => void (kept.verifier = verifier),
  async redirectToAuthorization(where) {
    const answer = await fetch(where, { redirect: "manual" });
    code = new URL(answer.headers.get("location")).searchParams.get("code");
  },
};

const capabilities = { elicitation: { form: { applyDefaults: true } } };
let client;
let transport;

async function connect() {
  client = new Client({ name: "conforming", version: "1.0.0" }, { capabilities });
  client.setRequestHandler(ElicitRequestSchema, () => ({ action: "accept", content: {} }));
  transport = new StreamableHTTPClientTransport(url, { authProvider });
  await client.connect(transport);
}

async function signedIn(action) {
  for (let tries = 0; tries < 3; tries++) {
    try {
      return await action();
    } catch (error) {
      if (!(error instanceof UnauthorizedError)) throw error;
      await transport.finishAuth(code);
    }
  }
  return action();
}

await signedIn(connect);
const { tools } = await signedIn(() => client.listTools());
for (const { name } of tools) {
  const args = name === "add_numbers" ? { a: 5, b: 3 } : {};
  console.log(JSON.stringify(await signedIn(() => client.callTool({ name, arguments: args }))));
}
await client.close();
// The scenario's server keeps a stream open.
process.exit(0);
