// One process of the race: makes the same tool call many times at once, and reports what each call got.
import { once } from "node:events";

import { StateEngineClient } from "@openclaw/ts-client";

const { url, call, callers } = JSON.parse(process.argv[2]);
// Enough retries for the engine to be killed and started again meanwhile.
const client = new StateEngineClient({ url, maxRetries: 8 });

process.send("ready");
await once(process, "message");
const results = await Promise.all(
  Array.from({ length: callers }, () =>
    client.runTool(call, async () => {
      process.send("effect");
      await once(process, "message");
      return { by: process.pid };
    }),
  ),
);
process.send({ results });
process.disconnect();
