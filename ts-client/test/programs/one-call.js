// Runs one guarded call. Reports when the tool runs, and ends after it gets a message.
import { once } from "node:events";

import { StateEngineClient } from "@openclaw/ts-client";

const { url, call, options } = JSON.parse(process.argv[2]);
const client = new StateEngineClient({ url });
const result = await client.runTool(
  call,
  async () => {
    process.send({ ran: process.pid });
    await once(process, "message");
    return { by: process.pid };
  },
  options,
);
process.send({ result });
process.disconnect();
