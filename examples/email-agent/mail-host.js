// The outside world: an SMTP server on the loopback that stores each mail as a file, so that anyone can
// check later whether a mail was sent.
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { SMTPServer } from "smtp-server";

/** Serves SMTP. Waits for `accepted(to)` after it has stored a mail and before it answers the sender. */
export async function serveMail(outbox, accepted = async () => {}) {
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
      // A second copy of a mail is stored next to the first.
      number += 1;
      const name = existsSync(join(outbox, id)) ? `${id}.copy-${process.pid}-${number}` : id;
      await writeFile(join(outbox, name), text);
      await accepted(session.envelope.rcptTo[0].address);
      done();
    },
  });
  // A killed sender leaves a broken connection.
  server.on("error", () => {});
  server.listen(0, "127.0.0.1");
  await once(server.server, "listening");
  return { url: `smtp://127.0.0.1:${server.server.address().port}`, close: () => server.close() };
}
