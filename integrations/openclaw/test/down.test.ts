import assert from "node:assert/strict";
import { test } from "node:test";
import { Host } from "./host.ts";
import { mail } from "./world.ts";

// Nothing listens on this port.
const down = { engineUrl: "http://127.0.0.1:9" };

test("engine down, block: calls that act are held back with the reason, and reads run", async () => {
  const host = await Host.start(down);
  const blocked = await host.before(mail("down", "r1"));
  assert.match(blocked?.blockReason ?? "", /NOT run, and nothing was changed.*cannot record the call/);
  assert.equal(await host.before({ tool: "read", params: {}, run: "r1", id: "c" }), undefined);
  await host.kill();
});

test("engine down, allow: calls run, and the log says that they are not recorded", async () => {
  const host = await Host.start({ ...down, onEngineDown: "allow" });
  assert.equal(await host.before(mail("down", "r1")), undefined);
  const log = await host.hook<string[]>("log");
  assert.ok(log.some((line) => line.includes("runs unrecorded")), log.join("\n"));
  await host.kill();
});
