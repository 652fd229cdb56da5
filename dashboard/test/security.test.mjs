// Nothing from a call becomes script or markup, foreign pages are refused, and a token is enforced.

import assert from "node:assert/strict";
import { request } from "node:http";
import { after, before, test } from "node:test";
import { openPage, startBrowser } from "./support/browser.mjs";
import { Engine } from "./support/engine.mjs";
import { startTool } from "./support/tool.mjs";

const file = new URL("../index.html", import.meta.url).href;
const TOKEN = "correct-horse-battery-staple";
const POLICY =
  "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'";

let browser;
let tool;
const engines = [];

async function start(flags, options) {
  const engine = await Engine.start(flags, options);
  engines.push(engine);
  return engine;
}

before(async () => {
  [browser, tool] = await Promise.all([startBrowser(), startTool()]);
});
after(async () => {
  await browser?.close();
  tool?.stop();
  await Promise.all(engines.map((engine) => engine.stop()));
});

/** Status and headers of the answer to a GET with these headers, which can include any `Host`. */
function get(engine, path, headers = {}) {
  const { hostname, port } = new URL(engine.api);
  return new Promise((resolve, reject) => {
    const sent = request({ hostname, port, path, headers }, (answer) => {
      answer.destroy();
      resolve({ status: answer.statusCode, headers: answer.headers });
    });
    sent.on("error", reject);
    sent.end();
  });
}

test("a hostile payload in every field stays text", async () => {
  const evil = `"'><img src=x onerror="window.pwned=1"><script>window.pwned=1</script>\${window.pwned=1}`;
  const link = "javascript:window.pwned=1//";
  const engine = await start([]);
  const scope = await engine.scope(evil, evil, [evil, `${link}${evil}`]);
  const ran = await engine.tool(scope, evil, { [evil]: evil, url: link }, {
    key: evil,
    outcome: "executed",
    output: { html: evil, [link]: "</script><svg onload=window.pwned=1>" },
  });
  await engine.tool(scope, evil, { [evil]: evil, url: link }, { key: evil });
  const failed = await engine.tool(scope, link, [evil], { outcome: "executed", error: evil });
  const doubt = await engine.tool(scope, evil, evil, { goal: 1, outcome: "unknown" });
  const sent = await engine.send(`${tool.url}/echo/%3Cimg%20src=x%20onerror=window.pwned=1%3E?q=${link}'`, {
    headers: { "X-Evil": evil, "Content-Type": "text/html", "Agent-Session": "'><svg onload=pwned()>" },
    body: evil,
  });
  assert.deepEqual([sent.status, sent.body], [200, evil]);

  const page = await openPage(browser);
  const ids = [ran.id, failed.id, doubt.id, sent.headers["agent-execution-id"]];
  const views = [
    ["#/", ".sessions tbody tr"],
    [`#/sessions/${scope.session.id}`, ".mark"],
    ["#/calls", ".call"],
    ["#/doubt", ".settle"],
    ["#/stats", ".tile"],
    [`#/calls?q=${encodeURIComponent(`text ${evil}`)}`, ".none"],
    [`#/${encodeURIComponent(evil)}/${encodeURIComponent(link)}`, "h1"],
    ...ids.map((id) => [`#/calls/${id}`, ".events"]),
  ];
  for (const [hash, ready] of views) {
    await page.goto(`${engine.api}/${hash}`);
    await page.locator(ready).first().waitFor();
    const found = await page.evaluate(() => ({
      pwned: window.pwned ?? null,
      scripts: [...document.scripts].map((script) => new URL(script.src).pathname),
      images: [...document.images].map((image) => new URL(image.src).pathname),
      markup: document.querySelectorAll("svg[onload], [onerror], iframe, object, embed").length,
      links: [...document.links].map((one) => one.protocol).filter((protocol) => protocol !== "http:"),
    }));
    assert.deepEqual(
      found,
      { pwned: null, scripts: ["/boot.js"], images: ["/favicon.svg"], markup: 0, links: [] },
      hash,
    );
  }
  await page.goto(`${engine.api}/#/calls/${ran.id}`);
  // And it is shown unchanged.
  await page.locator(".detail .id", { hasText: evil }).waitFor();
  await page.goto(`${engine.api}/#/doubt`);
  await page.getByLabel(/It did not run/).check();
  await page.getByLabel(/How do you know/).fill(evil);
  await page.getByRole("button", { name: "Settle" }).click();
  await page.getByRole("heading", { name: "Nothing is in doubt" }).waitFor();
  await page.goto(`${engine.api}/#/calls/${doubt.id}`);
  await page.locator(".events", { hasText: "<script>" }).waitFor();
  assert.equal(await page.evaluate(() => window.pwned ?? null), null);
  assert.deepEqual(page.complaints, []);
});

test("pages carry a strict policy, and only their own origin can use them", async () => {
  const engine = await start(["--no-proxy"]);
  const { host } = new URL(engine.api);
  for (const path of ["/index.html", "/boot.js", "/src/app.js", "/style.css", "/favicon.svg"]) {
    const { status, headers } = await get(engine, path);
    assert.equal(status, 200, path);
    assert.equal(headers["content-security-policy"], POLICY);
    assert.equal(headers["x-content-type-options"], "nosniff");
    assert.equal(headers["access-control-allow-origin"], undefined);
    const again = await get(engine, path, { "If-None-Match": headers.etag });
    assert.equal(again.status, 304, path);
  }
  for (const path of ["/", "/src/app.js", "/events", "/sign-in", "/sign-in/x", "/metrics"]) {
    assert.equal((await get(engine, path, { Host: "evil.example" })).status, 421, path);
    assert.equal((await get(engine, path, { Host: host, Origin: "http://evil.example" })).status, 403, path);
    assert.equal((await get(engine, path, { "Sec-Fetch-Site": "cross-site" })).status, 403, path);
  }
  assert.match((await get(engine, "/", { Accept: "*/*" })).headers["content-type"], /^text\/plain/);
  assert.match((await get(engine, "/", { Accept: "text/html,*/*;q=0.8" })).headers["content-type"], /^text\/html/);
  for (const path of ["/package.json", "/src/../package.json", "/src/%2e%2e/package.json", "/vendor/build.mjs"]) {
    assert.equal((await get(engine, path)).status, 404, path);
  }
});

test("if a token is set, a browser signs in with the printed link or with the token", async () => {
  const engine = await start(["--no-proxy"], { env: { STATE_ENGINE_TOKEN: TOKEN } });
  const bearer = { Authorization: `Bearer ${TOKEN}` };
  const scopeFor = async () => {
    const user = await engine.rpc("create_user", { username: "ada" }, bearer);
    return engine.rpc("create_session", { user_id: user.id, name: "guarded" }, bearer);
  };
  await scopeFor();
  assert.ok(!engine.dashboard.includes(TOKEN));

  const first = await openPage(browser);
  await first.goto(engine.dashboard);
  await first.getByRole("link", { name: "guarded" }).waitFor();
  await first.waitForSelector(".feed.is-live");
  assert.ok(!first.url().includes("page_key"), "the key should not stay in the address");
  const [cookie] = await first.context().cookies();
  assert.deepEqual([cookie.httpOnly, cookie.sameSite], [true, "Strict"]);
  const key = await first.evaluate(() => localStorage.getItem("state-engine-page"));
  await first.reload();
  await first.getByRole("link", { name: "guarded" }).waitFor();

  const list = (headers) => engine.rpc("list_sessions", {}, headers).then(
    (sessions) => sessions.length,
    (error) => error.code,
  );
  const jar = `state-engine=${cookie.value}`;
  assert.equal(await list({}), "UNAUTHORIZED");
  assert.equal(await list({ Cookie: jar }), "UNAUTHORIZED");
  assert.equal(await list({ "State-Engine-Page": key }), "UNAUTHORIZED");
  assert.equal(await list({ Cookie: jar, "State-Engine-Page": `${key}0` }), "UNAUTHORIZED");
  assert.equal(await list({ Cookie: jar, "State-Engine-Page": key }), 1);
  assert.equal((await get(engine, "/events")).status, 401);

  const second = await openPage(browser);
  await second.goto(engine.dashboard);
  await second.getByText("it was used").waitFor();
  await second.goto(engine.api);
  await second.getByRole("heading", { name: "This engine requires a token" }).waitFor();
  await second.getByLabel("Token").fill("wrong");
  await second.getByRole("button", { name: "Sign in" }).click();
  await second.getByText("not the engine's token").waitFor();
  await second.getByLabel("Token").fill(TOKEN);
  await second.getByRole("button", { name: "Sign in" }).click();
  await second.getByRole("link", { name: "guarded" }).waitFor();
});

test("a page opened as a file works if the engine accepts it, and explains if not", async () => {
  const closed = await start(["--no-proxy"]);
  const page = await openPage(browser);
  await page.goto(`${file}?engine=${encodeURIComponent(closed.api)}`);
  await page.getByRole("heading", { name: "No answer from the engine" }).waitFor();
  await page.getByText("openclaw-state-engine serve --allow-origin null").waitFor();

  const open = await start(["--no-proxy", "--allow-origin", "null"]);
  const scope = await open.scope("ada", "from-a-file", ["look"]);
  const doubt = await open.tool(scope, "send_email", {}, { outcome: "unknown" });
  await page.getByLabel("Address of the engine").fill(open.api);
  await page.getByRole("button", { name: "Connect" }).click();
  await page.getByRole("link", { name: "from-a-file" }).waitFor();
  await page.waitForSelector(".feed.is-live");
  await open.tool(scope, "send_email", { n: 2 }, { outcome: "executed" });
  await page.getByText("1 completed").waitFor();
  await page.getByRole("link", { name: "Find out, and settle" }).click();
  await page.getByLabel(/It ran/).check();
  await page.getByLabel(/How do you know/).fill("seen in the outbox");
  await page.getByRole("button", { name: "Settle" }).click();
  await page.getByRole("heading", { name: "Nothing is in doubt" }).waitFor();
  assert.equal((await open.rpc("get_tool_execution", { id: doubt.id })).status, "completed");

  const locked = await start(["--no-proxy", "--allow-origin", "null"], { env: { STATE_ENGINE_TOKEN: TOKEN } });
  await page.goto(`${file}?engine=${encodeURIComponent(locked.api)}`);
  await page.getByLabel("Token").fill(TOKEN);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.waitForSelector(".feed.is-live");
});

test("the stream of changes has only ids, and continues after the last one seen", async () => {
  const engine = await start(["--no-proxy"]);
  const scope = await engine.scope("ada", "stream", ["go"]);
  const read = async (lastId, until) => {
    const stop = new AbortController();
    const headers = lastId ? { "Last-Event-ID": lastId } : {};
    const answer = await fetch(`${engine.api}/events`, { headers, signal: stop.signal });
    assert.equal(answer.headers.get("content-type"), "text/event-stream");
    let text = "";
    for await (const part of answer.body.pipeThrough(new TextDecoderStream())) {
      text += part;
      if (until(text)) break;
    }
    stop.abort();
    return text.split("\n\n").filter((block) => block.startsWith("id: ")).map((block) => {
      const [, id, event, data] = /^id: (\d+)\nevent: (\w+)\ndata: (.*)$/.exec(block);
      return { id, event, data: JSON.parse(data) };
    });
  };
  const [hello] = await read(null, (text) => text.includes("hello"));
  const call = await engine.tool(scope, "secret_tool", { password: "hunter2" }, { key: "k-secret", outcome: "executed" });
  const changes = (await read(hello.id, (text) => text.includes("finished"))).slice(1);
  assert.deepEqual(changes.map(({ data }) => [data.kind, data.execution_id]), [
    ["claimed", call.id],
    ["finished", call.id],
  ]);
  assert.deepEqual(changes.map(({ id }) => Number(id)), [Number(hello.id) + 1, Number(hello.id) + 2]);
  const members = ["seq", "at", "kind", "execution_id", "session_id", "attempt"];
  for (const { data } of changes) assert.deepEqual(Object.keys(data), members);

  const [far] = await read("999999", (text) => text.includes("event: "));
  assert.equal(far.event, "many");
  for (let n = 0; n < 26; n += 1) {
    const batch = Array.from({ length: 20 }, (_, id) => ({
      jsonrpc: "2.0",
      id,
      method: "create_goal",
      params: { user_id: scope.user.id, session_id: scope.session.id, title: `goal ${id}` },
    }));
    await fetch(engine.api, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(batch),
    });
  }
  const late = await read(hello.id, (text) => text.includes("event: many"));
  assert.equal(late.at(-1).event, "many");
});
