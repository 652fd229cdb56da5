// An https upstream in Node with HTTP/2 and HTTP/1.1: secure_upstream.mjs CERTIFICATE KEY (two files).
// Prints its port. GET /count returns how many other requests arrived. A POST to /slow is answered after a
// request to /go.
import { readFileSync } from "node:fs";
import { createSecureServer } from "node:http2";

const [cert, key] = process.argv.slice(2).map((file) => readFileSync(file));
let count = 0;
let release;
const released = new Promise((resolve) => (release = resolve));

const server = createSecureServer({ cert, key, allowHTTP1: true }, async (request, answer) => {
  if (request.url === "/count") return answer.end(String(count));
  if (request.url === "/go") return answer.end("", release);
  const number = ++count;
  let body = "";
  for await (const piece of request) body += piece;
  if (request.url === "/slow") await released;
  answer.setHeader("content-type", "text/plain");
  answer.end(`${number} HTTP/${request.httpVersion} ${request.method} ${request.url} ${body}`);
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
