// Sends requests with fetch, undici, axios or node:http(s), as a user's program does.
//
// send.mjs LIBRARY METHOD URL BODY [NAME:VALUE ...] prints the answer's body as it arrives, then a line with
// the status and Idempotency-Status. BODY `a|b|c` sends three requests on one connection.
const [library, method, url, bodies, ...fields] = process.argv.slice(2);
const headers = Object.fromEntries(fields.map((field) => field.split(/:(.*)/s).slice(0, 2)));
const signal = AbortSignal.timeout(1000 * Number(process.env.CLIENT_TIMEOUT ?? "30"));

let send = fetch;
let dispatcher;
if (library === "axios") {
  const { default: axios } = await import("axios");
  const answer = await axios({ method, url, headers, data: bodies, signal, validateStatus: () => true, responseType: "text" });
  console.log(`${answer.data}\n${answer.status} ${(answer.headers["idempotency-status"] ?? "-").split(";")[0]}`);
  process.exit();
}
if (library === "http") {
  const http = await import(new URL(url).protocol === "https:" ? "node:https" : "node:http");
  const answer = await new Promise((resolve, reject) => {
    http.request(url, { method, headers, signal }, resolve).on("error", reject).end(bodies);
  });
  for await (const piece of answer) process.stdout.write(piece);
  console.log(`\n${answer.statusCode} ${(answer.headers["idempotency-status"] ?? "-").split(";")[0]}`);
  process.exit();
}
if (library === "undici") {
  const undici = await import("undici");
  dispatcher = new undici.EnvHttpProxyAgent();
  send = (url, options) => undici.fetch(url, { ...options, dispatcher });
}

for (const body of bodies.split("|")) {
  const answer = await send(url, { method, headers, signal, ...(body && { body }) });
  for await (const piece of answer.body ?? []) process.stdout.write(piece);
  const status = answer.headers.get("idempotency-status") ?? "-";
  console.log(`\n${answer.status} ${status.split(";")[0]}`);
}
await dispatcher?.close();
