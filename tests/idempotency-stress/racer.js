// One process of the race: calls the same tool many times at once, and tells what each call got.
import { once } from "node:events";

import { StateEngineClient } from "@openclaw/ts-client";

const { url, call, callers } = JSON.parse(process.argv[2]);
// Enough tries for the engine to be killed and to come back meanwhile.
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
