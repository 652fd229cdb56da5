// The agent's tools. `run` does the work. `find` checks whether it was done, for when the process died
// before its result was recorded; `undefined` means that it certainly was not.
import { existsSync } from "node:fs";
import { join } from "node:path";

import { createTransport } from "nodemailer";

import { write } from "./model.js";

export function makeTools({ client, userId, smtp, outbox }) {
  const transport = createTransport({ url: smtp, ignoreTLS: true });
  const messageId = (mail) => `answer-to-${mail.id}@email-agent`;
  const memories = () => client.listMemories(userId, 1_000);
  return {
    draft: {
      run: ({ mail, known }) => write(mail, known),
      // A draft has no effect, so it can always be written again.
      find: () => undefined,
    },
    send: {
      run: async ({ mail, text }) => {
        const subject = `Re: ${mail.subject}`;
        await transport.sendMail({ from: "agent@example.com", to: mail.from, subject, text, messageId: messageId(mail) });
        return { messageId: messageId(mail) };
      },
      find: ({ mail }) => (existsSync(join(outbox, messageId(mail))) ? { messageId: messageId(mail) } : undefined),
    },
    remember: {
      run: async ({ mail }) => {
        const { id } = await client.createMemory(userId, mail.text, "medium", [mail.from, `mail:${mail.id}`]);
        return { id };
      },
      find: async ({ mail }) => {
        const found = (await memories()).find(({ tags }) => tags.includes(`mail:${mail.id}`));
        return found && { id: found.id };
      },
    },
    /** What is known about a person. A read does not need a guard. */
    known: async (person) => {
      const all = (await memories()).filter(({ tags }) => tags.includes(person));
      return all.map(({ content }) => content).reverse();
    },
    close: () => transport.close(),
  };
}
