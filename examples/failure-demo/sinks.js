// The destination of the mails: a real server on the loopback that counts the mails it accepts, and can
// answer one chosen mail late.
import { once } from "node:events";
import { createServer } from "node:http";

import { SMTPServer } from "smtp-server";

/** What both servers share: the counts, and the one answer that is held back. */
class Outbox {
  /** Recipient → how many mails arrived for it. */
  counts = new Map();
  #ids = new Set();
  #held;
  #resolveHeldArrived;

  constructor(held) {
    this.#held = held;
    /** Resolves when the mail has arrived whose answer is held back. */
    this.heldArrived = new Promise((resolve) => {
      this.#resolveHeldArrived = resolve;
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

  /** Accepts a mail. Resolves when the sender may get the answer. */
  async accept(to, id) {
    this.counts.set(to, (this.counts.get(to) ?? 0) + 1);
    if (id) this.#ids.add(id);
    if (to !== this.#held) return;
    this.#held = undefined;
    this.#resolveHeldArrived();
    await this.released;
  }
}

/**
 * A mail host with SMTP and an HTTP API. `POST /send` sends a mail; `GET /outbox/ID` shows whether a mail
 * was sent. The first mail to `held` is answered after `release()`.
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
      await outbox.accept(session.envelope.rcptTo[0].address, id);
      done();
    },
  });
  // A killed sender leaves broken connections, which do not change the counts.
  smtp.on("error", () => {});
  smtp.listen(0, "127.0.0.1");
  const http = createServer(async (request, response) => {
    const id = request.url.slice("/outbox/".length);
    if (request.method === "GET") return response.writeHead(outbox.has(decodeURIComponent(id)) ? 200 : 404).end();
    let text = "";
    for await (const part of request) text += part;
    await outbox.accept(JSON.parse(text).to);
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
