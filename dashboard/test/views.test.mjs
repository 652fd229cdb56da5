// Every view in a real browser with the real binary, while real calls go through the API and the proxy.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { openPage, overflow, startBrowser, violations } from "./support/browser.mjs";
import { Engine } from "./support/engine.mjs";
import { startTool } from "./support/tool.mjs";
import { makeTraffic } from "./support/traffic.mjs";

let engine;
let tool;
let browser;
let page;
let traffic;

before(async () => {
  [engine, tool, browser] = await Promise.all([Engine.start(), startTool(), startBrowser()]);
  page = await openPage(browser, { acceptDownloads: true, permissions: ["clipboard-read", "clipboard-write"] });
});
after(async () => {
  await browser?.close();
  tool?.stop();
  await engine?.stop();
});

const go = (hash) => page.goto(`${engine.api}/${hash}`);
const texts = (selector) => page.locator(selector).allTextContents();
const tidy = (text) => text.replace(/\s+/g, " ").trim();
const proxied = () => traffic.first.headers["agent-execution-id"];

test("an empty store shows how to begin, and the first calls appear by themselves", async () => {
  await page.goto(engine.dashboard);
  await page.waitForSelector(".feed.is-live");
  const commands = await page.locator(".commands pre").textContent();
  assert.match(commands, new RegExp(`HTTP_PROXY=${engine.proxy}`));
  assert.match(commands, /\ncurl /);

  traffic = await makeTraffic(engine, tool);
  await page.getByRole("row", { name: /invoices-october/ }).waitFor();
  const row = page.getByRole("row", { name: /support-bot/ });
  await row.getByText("2 stopped").waitFor();
  assert.match(tidy(await row.textContent()), /local.*active.*2 completed ?1 failed ?1 in doubt/);
  await page.locator(".banner.doubt", { hasText: "2 calls are in doubt" }).waitFor();
});

test("sessions are found by name, user and goal", async () => {
  await page.getByRole("searchbox").fill("october invoices");
  await page.keyboard.press("Enter");
  await page.getByText("1 session", { exact: true }).waitFor();
  assert.deepEqual(await texts(".sessions .title"), ["invoices-october"]);
  assert.match(page.url(), /q=october/);
  await page.getByRole("link", { name: "failed" }).click();
  await page.getByText("No sessions match.").waitFor();
  await go("#/");
  await page.getByRole("link", { name: "support-bot" }).click();
  await page.getByRole("heading", { name: "support-bot" }).waitFor();
});

test("a session shows goals, calls in time, and duplicates on their originals", async () => {
  await go(`#/sessions/${traffic.ada.session.id}`);
  await page.locator(".timeline .mark").first().waitFor();
  assert.deepEqual((await texts(".lane .goal")).sort(), traffic.ada.goals.map((goal) => goal.title).sort());
  assert.equal(await page.locator(".timeline .mark").count(), 5);
  await page.locator(".timeline span.echo").nth(2).waitFor();
  const boxes = await page.evaluate(() => {
    const tie = document.querySelector(".tie").getBoundingClientRect();
    const mark = document.querySelector(".tie + .mark").getBoundingClientRect();
    const echoes = [...document.querySelectorAll("span.echo")].map((one) => one.getBoundingClientRect());
    return { tie, mark, echoes };
  });
  assert.ok(Math.abs(boxes.tie.left - boxes.mark.left) < 1, "the connecting line should start at the original");
  for (const echo of boxes.echoes) {
    const middle = echo.left + echo.width / 2;
    assert.ok(middle > boxes.tie.left && middle < boxes.tie.right + 1, "the connecting line should reach each duplicate");
  }
  const rows = (await texts(".call")).map(tidy);
  assert.equal(rows.length, 5);
  assert.match(rows[4], /send_email.*3 stopped.*completed/);
  await page.locator(".goals").getByText("Inform the team").click();
  await page.waitForFunction(() => document.querySelectorAll(".call").length === 2);
});

test("a running call is shown until it ends", async () => {
  const slow = engine.send(`${tool.url}/slow`, { headers: traffic.run, body: "{}" });
  await go("#/calls?q=state:running");
  const row = page.locator(".call", { hasText: "/slow" });
  await row.waitFor();
  tool.release();
  assert.equal((await slow).status, 200);
  await row.waitFor({ state: "detached" });
  await go("#/calls?q=slow state:completed");
  const bar = page.locator(".call", { hasText: "/slow" }).getByRole("img");
  assert.match(await bar.getAttribute("aria-label"), /claimed → sent .*, sent → first byte .*, first byte → recorded /);
});

test("a call has its own address, which shows everything that is recorded of it", async () => {
  await go(`#/calls/${proxied()}`);
  const detail = page.locator(".detail");
  await detail.getByText("It ran. 1 duplicate was stopped.").waitFor();
  const text = tidy(await detail.textContent());
  for (const expected of [
    /claimed ?\d\d:\d\d:\d\d\.\d{3}.*sent ?\d\d.*first byte ?\d\d.*recorded: completed/,
    /derived from user, session, credentials, method, URL, headers that count and body/,
    /Rule ?method POST/,
    /once: a repeat may act twice/,
    /support-bot of local/,
    /1 answered from the record/,
    /POST http:\/\/127\.0\.0\.1:\d+\/tickets\?api_key=\[masked\]/,
    /"password": "\[masked\]"/,
    /"precise": 12345678901234567890/,
    /Answer 201/,
  ]) {
    assert.match(text, expected);
  }
  for (const secret of ["topsecret", "hunter2", "tok_secret_1"]) assert.ok(!text.includes(secret), secret);

  const events = await engine.rpc("list_events", { execution_id: proxied() });
  assert.deepEqual(
    await texts(".events tbody td:first-child"),
    events.map((event) => String(event.seq)),
  );
  const [claimed, finished] = events;
  assert.equal(finished.previous, claimed.hash, "the second row should contain the hash of the first");
  const links = await page.locator(".hash").nth(1).textContent();
  assert.ok(links.includes(finished.hash.slice(0, 8)) && links.includes(claimed.hash.slice(0, 8)));

  await page.getByRole("button", { name: "Copy the id" }).click();
  await page.waitForFunction((id) => navigator.clipboard.readText().then((text) => text === id), proxied());
  const [download] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("button", { name: "Export JSON" }).click(),
  ]);
  const exported = readFileSync(await download.path(), "utf8");
  assert.equal(JSON.parse(exported).result.id, proxied());
  assert.ok(exported.includes("12345678901234567890"), "no number should be rounded");
});

test("a large body is cut, with its size, and shown whole on request", async () => {
  await go("#/calls?q=large");
  await page.locator(".call a").first().click();
  const detail = page.locator(".detail");
  await detail.getByText(/Cut: 16 KiB of 2\d\d KiB are shown/).waitFor();
  const before = await detail.locator(".code").last().textContent();
  await detail.getByRole("button", { name: "Show all", exact: true }).click();
  await detail.getByText(/^Cut: /).waitFor({ state: "detached" });
  await detail.getByRole("button", { name: /^200 of [\d,]+ lines are shown: show more/ }).click();
  await detail.getByRole("button", { name: /^2,000 of / }).waitFor();
  assert.ok((await detail.locator(".code").last().textContent()).length > before.length);
  await detail.getByRole("button", { name: "Copy the answer's body" }).click();
  await page.waitForFunction(() => navigator.clipboard.readText().then((all) => all.endsWith('{"n":19999}]}')));
  await page.keyboard.press("Escape");
  await detail.waitFor({ state: "detached" });
});

test("filters are in the address, and wrong ones are reported", async () => {
  const found = async (line, n) => {
    await go(`#/calls?q=${encodeURIComponent(line)}`);
    await page.waitForFunction((n) => document.querySelectorAll(".call").length === n, n);
  };
  await found("tool:EMAIL", 2);
  await found("state:failed", 2);
  await found("via:proxy after:1h", 5);
  await found("before:1h", 0);
  await found("is:duplicated", 3);
  await found("cus_7", 1);
  await found(traffic.sent.id, 1);
  await found("tool:100%_no", 0);
  await go("#/calls?q=state:gone");
  await page.getByText(/state: must be one of pending, running/).waitFor();
  await page.getByRole("link", { name: "completed", exact: true }).click();
  await page.waitForURL(/state%3Acompleted/);
});

test("everything can be done with the keyboard", async () => {
  await go("#/calls");
  await page.locator(".call").first().waitFor();
  await page.keyboard.press("/");
  await page.keyboard.type("tool:charge");
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.querySelectorAll(".call").length === 1);
  await page.keyboard.press("Escape");
  await page.keyboard.press("j");
  await page.keyboard.press("Enter");
  await page.locator(".detail", { hasText: "charge_card" }).waitFor();
  await page.keyboard.press("Escape");
  await page.locator(".detail").waitFor({ state: "detached" });
  await page.keyboard.press("?");
  await page.getByRole("dialog").getByText("next, previous row").waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
});

test("a call in doubt is settled with a reason, and the log keeps the verdict and the reason", async () => {
  await go("#/doubt");
  const charge = page.locator(".doubts > li", { hasText: "charge_card" });
  await charge.waitFor();
  const lost = page.locator(".doubts > li", { hasText: "/lost" });
  assert.match(tidy(await lost.textContent()), /It was sent at .*Last seen: .*Check at 127\.0\.0\.1/);

  await charge.getByLabel(/It ran/).check();
  await charge.getByRole("button", { name: "Settle" }).click();
  assert.equal((await engine.rpc("get_tool_execution", { id: traffic.doubt.id })).status, "in_doubt");
  await charge.getByLabel(/How do you know/).fill("  ");
  await charge.getByRole("button", { name: "Settle" }).click();
  await charge.getByText("Say how you know.").waitFor();
  await charge.getByLabel(/How do you know/).fill("The charge ch_77 is in the customer's list");
  await charge.getByRole("button", { name: "Settle" }).click();
  await charge.waitFor({ state: "detached" });
  const settled = await engine.rpc("get_tool_execution", { id: traffic.doubt.id });
  assert.deepEqual([settled.status, settled.outcome], ["completed", "executed"]);
  const events = await engine.rpc("list_events", { execution_id: traffic.doubt.id });
  const verdict = events.find((event) => event.kind === "verdict");
  assert.equal(verdict.detail.why, "The charge ch_77 is in the customer's list");
  assert.equal(verdict.actor, "api");

  await lost.getByLabel(/It did not run/).check();
  await lost.getByLabel(/How do you know/).fill("No refund is listed");
  await lost.getByRole("button", { name: "Settle" }).click();
  await page.getByRole("heading", { name: "Nothing is in doubt" }).waitFor();
  const [refund] = (await engine.rpc("search_executions", { text: "/lost" })).items;
  assert.deepEqual([refund.status, refund.outcome], ["failed", "not_executed"]);
  await page.locator(".badge").waitFor({ state: "detached" });
});

test("the figures match the store and the last hour", async () => {
  await go("#/stats");
  await page.locator(".tile").first().waitFor();
  const tiles = Object.fromEntries((await texts(".tile")).map((text) => {
    const [, name, value] = /^\s*(Calls|Duplicates stopped|In doubt|Sessions|Overhead, p50|Overhead, p99|Database|Write-ahead log)\s*(.*?)\s*$/s.exec(text);
    return [name, tidy(value)];
  }));
  const stats = await engine.rpc("get_stats");
  const calls = Object.values(stats.executions).reduce((all, n) => all + n, 0);
  assert.equal(tiles.Calls, String(calls));
  assert.equal(tiles["Duplicates stopped"], "5");
  assert.deepEqual([tiles["In doubt"], tiles.Sessions], ["0", "2"]);
  assert.match(tiles["Overhead, p50"], /^[\d.]+ (ms|µs|s)of \d+ proxied calls/);
  assert.match(tiles.Database, /^[\d.]+ (K|M)iB$/);
  const { minutes, decisions } = await engine.rpc("get_activity");
  assert.equal(minutes.reduce((all, one) => all + one.duplicates, 0), 5);
  assert.equal(decisions.replayed, 1);
  assert.equal(await page.locator(".minutes g").count(), 60);
  const decided = page.locator(".card", { hasText: "by decision" });
  assert.match(tidy(await decided.textContent()), /executed ?3.*replayed ?1/);
});

test("a pause holds back updates", async () => {
  await go("#/calls?q=tool:later");
  await page.getByText("No calls match.").waitFor();
  await page.waitForSelector(".feed.is-live");
  await page.keyboard.press("p");
  await page.waitForSelector(".feed.is-paused");
  await engine.tool(traffic.ada, "later", {}, { outcome: "executed" });
  await engine.tool(traffic.ada, "later", { n: 2 }, { outcome: "executed" });
  assert.equal(await page.locator(".call").count(), 0);
  await page.getByRole("button", { name: "paused" }).click();
  await page.waitForFunction(() => document.querySelectorAll(".call").length === 2);
});

test("every view passes the accessibility rules and fits its width, light and dark", async () => {
  const session = traffic.ada.session.id;
  const views = [
    ["#/", ".sessions"],
    [`#/sessions/${session}`, ".mark"],
    [`#/sessions/${session}?call=${traffic.sent.id}`, ".detail .events"],
    ["#/calls", ".call"],
    [`#/calls/${proxied()}`, ".detail .events"],
    ["#/doubt", ".empty, .doubts li"],
    ["#/stats", ".tile"],
  ];
  await engine.tool(traffic.ada, "charge_card", { again: 1 }, { outcome: "unknown" });
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    for (const [hash, ready] of views) {
      await go(hash);
      await page.locator(ready).first().waitFor();
      const rules = colorScheme === "dark" ? ["color-contrast"] : undefined;
      assert.deepEqual(await violations(page, rules), [], `${hash}, ${colorScheme}`);
    }
  }
  await page.setViewportSize({ width: 375, height: 780 });
  for (const [hash, ready] of views) {
    await go(hash);
    await page.locator(ready).first().waitFor();
    assert.equal(await overflow(page), "", `${hash} at 375`);
    assert.deepEqual(await violations(page), [], `${hash} at 375`);
  }
  await page.setViewportSize({ width: 1280, height: 800 });
  const dark = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  await page.getByRole("button", { name: "Colours: system" }).click();
  await page.waitForFunction((was) => getComputedStyle(document.body).backgroundColor !== was, dark);
});

test("a lost stream is reported, and continues where it ended", async () => {
  const addr = new URL(engine.api).host;
  await go("#/calls?q=tool:after_restart");
  await page.waitForSelector(".feed.is-live");
  assert.deepEqual(page.complaints.splice(0), [], "the console should be clean so far");
  await engine.stop({ keep: true });
  await page.locator(".banner.lost").waitFor();
  const { folder } = engine;
  engine = await Engine.start([], { folder, addr });
  await engine.tool(traffic.ada, "after_restart", {}, { outcome: "executed" });
  await page.locator(".call", { hasText: "after_restart" }).waitFor();
  await page.locator(".banner.lost").waitFor({ state: "detached" });
});

test("a call is compared with the one before it, and no value is shown", async () => {
  const ticket = (n) => ({
    headers: { ...traffic.run, "X-Try": String(n) },
    body: JSON.stringify({ note: { "sent/at": 90_210 + n }, password: "hunter2" }),
  });
  const alone = await engine.send(`${tool.url}/compared`, ticket(1));
  const next = await engine.send(`${tool.url}/compared?page=2`, ticket(2));
  const detail = page.locator(".detail");
  await go(`#/calls/${next.headers["agent-execution-id"]}`);
  await detail.getByText("Compared with the call before").waitFor();
  const text = tidy(await detail.textContent());
  assert.match(
    text,
    /They differ in query parameter page, header x-try, member \/note\/sent~1at\. A masked value may differ\./,
  );
  assert.match(text, /ignore = \["\/note\/sent~1at"\]/);
  assert.match(text, /ignore_headers = \["x-try"\]/);
  assert.ok(!text.includes("hunter2"));
  assert.deepEqual(await violations(page), []);
  await detail.getByRole("link", { name: "Show that call" }).click();
  await page.waitForURL((url) => url.hash === `#/calls/${alone.headers["agent-execution-id"]}`);
  await detail.getByText("It ran.").waitFor();
  assert.equal(await detail.getByText("Compared with the call before").count(), 0);
});
