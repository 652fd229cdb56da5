// A tool's server that does what the path says, and records the requests that reached it.

import { once } from "node:events";
import { createServer } from "node:http";

/** `/slow` waits for `release()`, `/lost` hangs up, `/status/N` answers N, other paths answer JSON. */
export async function startTool() {
  const waiting = [];
  const hits = [];
  const server = createServer((request, answer) => {
    const parts = [];
    request.on("data", (part) => parts.push(part));
    request.on("end", () => {
      const body = Buffer.concat(parts).toString();
      hits.push(`${request.method} ${request.url}`);
      const [, first, second] = request.url.split(/[/?]/);
      const reply = (status, text, type = "application/json") => {
        answer.writeHead(status, { "Content-Type": type, "X-Request-Number": String(hits.length) });
        answer.end(text);
      };
      if (first === "lost") {
        request.socket.destroy();
      } else if (first === "slow") {
        waiting.push(() => reply(200, '{"ok":true}'));
      } else if (first === "status") {
        reply(Number(second), '{"error":"as requested"}');
      } else if (first === "echo") {
        reply(200, body, "text/html");
      } else if (first === "large") {
        reply(200, JSON.stringify({ rows: Array.from({ length: 20_000 }, (_, n) => ({ n })) }));
      } else {
        reply(201, JSON.stringify({ id: `msg_${hits.length}`, queued: true, precise: 1 }));
      }
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    hits,
    release: () => waiting.splice(0).forEach((reply) => reply()),
    stop: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
