// A handler that answers with its input, so that only Restate itself is measured.
import * as restate from "@restatedev/restate-sdk";

const echo = restate.service({
  name: "Echo",
  handlers: { call: async (_ctx, input) => input },
});

restate.serve({ services: [echo], port: Number(process.env.PORT) });
