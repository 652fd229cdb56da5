// A client for the conformance suite, with the protocol's own SDK. It calls each tool of the server once,
// and signs in if the server requires it.
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { UnauthorizedError } from "@modelcontextprotocol/sdk/client/auth.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { ElicitRequestSchema } from "@modelcontextprotocol/sdk/types.js";

const url = new URL(process.argv.at(-1));

// The suite's authorization server does not ask a user: it redirects with a code at once.
let code;
const stored = {};
const authProvider = {
  redirectUrl: "http://localhost:3000/callback",
  clientMetadata: {
    client_name: "conforming",
    redirect_uris: ["http://localhost:3000/callback"],
    grant_types: ["authorization_code", "refresh_token"],
    response_types: ["code"],
  },
  clientMetadataUrl: "https://conformance-test.local/client-metadata.json",
  clientInformation: () => stored.client,
  saveClientInformation: (client) => void (stored.client = client),
  tokens: () => stored.tokens,
  saveTokens: (tokens) => void (stored.tokens = tokens),
  codeVerifier: () => stored.verifier,
  saveCodeVerifier: (verifier) => void (stored.verifier = verifier),
  async redirectToAuthorization(authorizationUrl) {
    const answer = await fetch(authorizationUrl, { redirect: "manual" });
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

/** Runs `action`, and signs in if the server requires it. */
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
// The scenario's server keeps a stream open, which would keep this process running.
process.exit(0);
