// The outside world: an SMTP server on the loopback that keeps each mail as a file, so that anyone can
// look up later whether a mail went out.
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { SMTPServer } from "smtp-server";

/** Serves SMTP; `taken(to)` is awaited between taking a mail and saying so. */
export async function serveMail(outbox, taken = async () => {}) {
  await mkdir(outbox, { recursive: true });
  let number = 0;
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ["STARTTLS"],
    logger: false,
    onData: async (stream, session, done) => {
      let text = "";
      for await (const part of stream) text += part;
      const id = /^Message-ID: <([^>]+)>/im.exec(text)[1];
      // A second copy of a mail would lie beside the first.
      number += 1;
      const name = existsSync(join(outbox, id)) ? `${id}.copy-${process.pid}-${number}` : id;
      await writeFile(join(outbox, name), text);
      await taken(session.envelope.rcptTo[0].address);
      done();
    },
  });
  // A sender that was killed leaves a broken connection.
  server.on("error", () => {});
  server.listen(0, "127.0.0.1");
  await once(server.server, "listening");
  return { url: `smtp://127.0.0.1:${server.server.address().port}`, close: () => server.close() };
}
