// 100,000 executions in 1,000 sessions.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { openPage, startBrowser } from "./support/browser.mjs";
import { Engine } from "./support/engine.mjs";

const seed = fileURLToPath(new URL("./support/seed.py", import.meta.url));
/** The aim is a second, and an idle machine needs far less. This limit lets a debug build pass on a busy
 *  machine. The best of all tries counts. */
const LIMIT_MS = 3000;
const TRIES = 5;

let engine;
let browser;

before(async () => {
  const small = await Engine.start(["--no-proxy"]);
  const scope = await small.scope("ada", "the first", ["begin"]);
  const input = { text: "x".repeat(300) };
  await small.tool(scope, "tool", input, { outcome: "executed", output: { ok: true } });
  await small.stop({ keep: true });
  execFileSync("python3", [seed, small.database, "1000", "100"]);
  [engine, browser] = await Promise.all([
    Engine.start(["--no-proxy"], { folder: small.folder }),
    startBrowser(),
  ]);
  const stats = await engine.rpc("get_stats");
  assert.equal(Object.values(stats.executions).reduce((all, n) => all + n, 0), 100_001);
});
after(async () => {
  await browser?.close();
  await engine?.stop();
});

/** A page that records when its first row was drawn, in ms after the request, and the methods it called. */
async function watched() {
  const page = await openPage(browser);
  await page.addInitScript(() => {
    new MutationObserver((_, observer) => {
      if (!document.querySelector("[data-row]")) return;
      observer.disconnect();
      requestAnimationFrame(() => setTimeout(() => (window.drawn = performance.now())));
    }).observe(document, { childList: true, subtree: true });
  });
  page.called = [];
  page.on("request", (request) => {
    if (request.method() === "POST") page.called.push(JSON.parse(request.postData()).method);
  });
  return page;
}

for (const [hash, method] of [["#/", "list_session_summaries"], ["#/calls", "search_executions"]]) {
  test(`the first page of ${hash} is drawn quickly, and scrolling reads page by page`, async () => {
    const times = [];
    for (let n = 0; n < TRIES && !times.some((time) => time < 1000); n += 1) {
      const page = await watched();
      await page.goto(`${engine.api}/${hash}`);
      times.push(await (await page.waitForFunction(() => window.drawn)).jsonValue());
      await page.context().close();
    }
    assert.ok(Math.min(...times) < LIMIT_MS, `ms: ${times}`);

    const page = await watched();
    await page.goto(`${engine.api}/${hash}`);
    const rows = () => page.locator("[data-row]").count();
    const reads = () => page.called.filter((one) => one === method).length;
    await page.waitForFunction(() => window.drawn);
    assert.deepEqual([await rows(), reads()], [50, 1]);
    for (const expected of [100, 150]) {
      await page.mouse.wheel(0, 100_000);
      await page.waitForFunction((n) => document.querySelectorAll("[data-row]").length >= n, expected);
    }
    assert.ok((await rows()) <= 250, `${await rows()} rows`);
    assert.equal(reads(), (await rows()) / 50, "one read per page");
  });
}

test("a search through the whole store returns results and continues", async () => {
  const page = await watched();
  await page.goto(`${engine.api}/#/calls?q=tool:tool_39 state:failed`);
  // Each answer holds what was found within its time limit. Scrolling loads the rest.
  await page.waitForFunction(() => {
    document.querySelector(".more")?.scrollIntoView();
    return document.querySelectorAll(".call").length >= 50;
  });
  await page.goto(`${engine.api}/#/calls?q=nowhere-to-be-found`);
  await page.getByText("No calls match.").waitFor();
  await page.goto(`${engine.api}/#/?q=session-77`);
  await page.waitForFunction(() => document.querySelectorAll("[data-row]").length === 11);
});
