// An https upstream by Node: HTTP/2 and HTTP/1.1. CERTIFICATE and KEY are files. Prints its port;
// GET /count returns the number of other requests. A POST to /slow is answered after a GET /go.
import { readFileSync } from "node:fs";
import { createSecureServer } from "node:http2";

const [cert, key] = process.argv.slice(2).map((file) => readFileSync(file));
let count = 0;
let go;
const gone = new Promise((resolve) => (go = resolve));

const server = createSecureServer({ cert, key, allowHTTP1: true }, async (request, answer) => {
  if (request.url === "/count") return answer.end(String(count));
  if (request.url === "/go") return answer.end("", go);
  const number = ++count;
  let body = "";
  for await (const piece of request) body += piece;
  if (request.url === "/slow") await gone;
  answer.setHeader("content-type", "text/plain");
  answer.end(`${number} HTTP/${request.httpVersion} ${request.method} ${request.url} ${body}`);
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
