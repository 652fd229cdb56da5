import assert from "node:assert/strict";
import { after, test } from "node:test";
import { until } from "../e2e/gateway.ts";
import { Host } from "./host.ts";
import { engineOfThisFile, mail, recorded } from "./world.ts";

const engine = await engineOfThisFile();
const host = await Host.start({ engineUrl: engine.url });

after(() => host.kill());

test("a cancelled tool that reports an error leaves its call in doubt", async () => {
  const cancelled = mail("cut", "r1");
  assert.equal(await host.before(cancelled), undefined);
  await host.hook("cancel", {}, { toolCallId: cancelled.id });
  await host.ended(cancelled, "aborted", { isError: true });
  const [execution] = await recorded(engine, "send_email");
  assert.deepEqual([execution?.status, execution?.error], ["in_doubt", "aborted"]);
  assert.match((await host.before(mail("cut", "r1")))?.blockReason ?? "", /UNKNOWN/);
});

test("a cancelled call whose end is never reported does not hold back its duplicate forever", async () => {
  const silent = mail("silent", "r1");
  assert.equal(await host.before(silent), undefined);
  assert.match((await host.before(mail("silent", "r1")))?.blockReason ?? "", /being executed right now/);
  await host.hook("cancel", {}, { toolCallId: silent.id });
  await until("the cancelled call is given up", async () => {
    const blocked = await host.before(mail("silent", "r1"));
    return /no outcome is known yet|UNKNOWN/.test(blocked?.blockReason ?? "");
  });
  await host.ended(silent, "sent after all");
  assert.match((await host.before(mail("silent", "r1")))?.blockReason ?? "", /Already done.*sent after all/s);
});
