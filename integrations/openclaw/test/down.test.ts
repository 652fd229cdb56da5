import assert from "node:assert/strict";
import { test } from "node:test";
import { Host } from "./host.ts";
import { mail } from "./world.ts";

// Nothing listens there.
const gone = { engineUrl: "http://127.0.0.1:9" };

test("engine down, block: calls that act are held back and told why, reads run", async () => {
  const lonely = await Host.start(gone);
  const blocked = await lonely.before(mail("down", "r1"));
  assert.match(blocked?.blockReason ?? "", /NOT run, and nothing was changed.*cannot record the call/);
  assert.equal(await lonely.before({ tool: "read", params: {}, run: "r1", id: "c" }), undefined);
  await lonely.kill();
});

test("engine down, allow: they run, and the log says that they are not recorded", async () => {
  const lonely = await Host.start({ ...gone, onEngineDown: "allow" });
  assert.equal(await lonely.before(mail("down", "r1")), undefined);
  const said = await lonely.hook<string[]>("said");
  assert.ok(said.some((line) => line.includes("runs unrecorded")), said.join("\n"));
  await lonely.kill();
});
