// The mail's destination: a real server on the loopback that counts what it took, and whose answer to
// one chosen mail can be late.
import { once } from "node:events";
import { createServer } from "node:http";

import { SMTPServer } from "smtp-server";

/** What both sinks share: the count, and the one answer that is held back. */
class Outbox {
  /** Recipient → how many mails came for it. */
  counts = new Map();
  #ids = new Set();
  #held;
  #tookHeld;

  constructor(held) {
    this.#held = held;
    /** Resolves when the mail whose answer is held back was taken. */
    this.tookHeld = new Promise((resolve) => {
      this.#tookHeld = resolve;
    });
    this.released = new Promise((resolve) => {
      this.release = resolve;
    });
  }

  get total() {
    return [...this.counts.values()].reduce((sum, count) => sum + count, 0);
  }

  has(id) {
    return this.#ids.has(id);
  }

  /** Takes a mail for good; resolves when its sender may be told so. */
  async take(to, id) {
    this.counts.set(to, (this.counts.get(to) ?? 0) + 1);
    if (id) this.#ids.add(id);
    if (to !== this.#held) return;
    this.#held = undefined;
    this.#tookHeld();
    await this.released;
  }
}

/**
 * Both doors of a mail host: SMTP, and an HTTP API with `POST /send` and `GET /outbox/ID`, by which a
 * sender can look up what became of a mail. The first mail to `held` is answered after `release()`.
 */
export async function mailHost(held) {
  const outbox = new Outbox(held);
  const smtp = new SMTPServer({
    authOptional: true,
    disabledCommands: ["STARTTLS"],
    logger: false,
    onData: async (stream, session, done) => {
      let text = "";
      for await (const part of stream) text += part;
      const id = /^Message-ID: <([^>]+)>/im.exec(text)?.[1];
      await outbox.take(session.envelope.rcptTo[0].address, id);
      done();
    },
  });
  // A sender that was killed leaves broken connections; the count stands.
  smtp.on("error", () => {});
  smtp.listen(0, "127.0.0.1");
  const http = createServer(async (request, response) => {
    const id = request.url.slice("/outbox/".length);
    if (request.method === "GET") return response.writeHead(outbox.has(decodeURIComponent(id)) ? 200 : 404).end();
    let text = "";
    for await (const part of request) text += part;
    await outbox.take(JSON.parse(text).to);
    response.writeHead(200, { "content-type": "application/json" }).end('{"accepted":true}');
  });
  http.listen(0, "127.0.0.1");
  await Promise.all([once(smtp.server, "listening"), once(http, "listening")]);
  const close = () => {
    smtp.close();
    http.closeAllConnections();
    http.close();
  };
  const api = `http://127.0.0.1:${http.address().port}`;
  return { outbox, api, smtp: `smtp://127.0.0.1:${smtp.server.address().port}`, close };
}
