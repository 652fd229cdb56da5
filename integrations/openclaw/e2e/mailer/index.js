import { existsSync, writeFileSync } from "node:fs";

// The test that starts the gateway sets the sink and the folder of the flags.
const { MAIL_SINK, MAIL_FLAGS } = process.env;

export default {
  id: "mailer",
  name: "Mailer",
  description: "A tool that acts: it sends a mail to the sink of the tests",
  register(api) {
    api.registerTool({
      name: "send_email",
      label: "Send e-mail",
      description: "Sends an e-mail",
      parameters: {
        type: "object",
        properties: { to: { type: "string" }, subject: { type: "string" } },
        required: ["to", "subject"],
      },
      async execute(_id, mail) {
        const answer = await fetch(MAIL_SINK, { method: "POST", body: JSON.stringify(mail) });
        return { content: [{ type: "text", text: await answer.text() }], details: { ok: answer.ok } };
      },
    });
    // Stops the whole process between the tool's end and the transcript, so that the test can kill it there.
    api.on(
      "tool_result_persist",
      () => {
        if (!existsSync(`${MAIL_FLAGS}/stop-before-transcript`)) return;
        writeFileSync(`${MAIL_FLAGS}/stopped`, "");
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 60_000);
      },
      { priority: -2000 },
    );
  },
};
