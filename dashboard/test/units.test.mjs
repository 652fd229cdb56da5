// Tests that need no browser.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { test } from "node:test";

globalThis.location = { protocol: "http:" };
const { parser } = await import("../src/events.js");
const format = await import("../src/format.js");
const { lines } = await import("../src/json.js");
const { merge, newestFirst } = await import("../src/pages.js");
const { attempts, parts } = await import("../src/phases.js");
const query = await import("../src/query.js");
const { link, parse } = await import("../src/route.js");
const { scale } = await import("../src/timeline.js");

test("the search line", () => {
  const now = Date.parse("2026-01-31T12:00:00Z");
  const id = "0195d3b0-0000-7000-8000-000000000001";
  const { params, problems } = query.parse(
    `tool:send_email state:in-doubt after:90m "two words" via:proxy is:duplicated session:${id} http://x`,
    now,
  );
  assert.deepEqual(problems, []);
  assert.deepEqual(params, {
    tool: "send_email",
    status: "in_doubt",
    after: "2026-01-31T10:30:00.000Z",
    text: "two words http://x",
    origin: "proxy",
    duplicated: true,
    session_id: id,
  });
  const wrong = query.parse("state:gone after:soon via:post is:odd goal:7", now);
  assert.deepEqual(wrong.params, {});
  assert.equal(wrong.problems.length, 5);
  assert.equal(query.withKey("tool:a state:failed b", "state", "running"), "state:running tool:a b");
  assert.equal(query.withKey("state:failed b", "state", ""), "b");
});

test("JSON is formatted from its own text, even if it was cut", () => {
  const shown = (text) =>
    lines(text).map((line) => "  ".repeat(line.depth) + line.parts.map((part) => part.text).join(""));
  assert.deepEqual(shown('{"n":12345678901234567890,"n":[],"s":"a\\"{,}","d":{"x":[1,null]}}'), [
    "{",
    '  "n": 12345678901234567890,',
    '  "n": [],',
    '  "s": "a\\"{,}",',
    '  "d": {',
    '    "x": [',
    "      1,",
    "      null",
    "    ]",
    "  }",
    "}",
  ]);
  assert.deepEqual(shown('{"a":[1,"cut of'), ["{", '  "a": [', "    1,", '    "cut of']);
  assert.deepEqual(shown(""), []);
});

test("numbers and times", () => {
  assert.equal(format.micros("2026-01-01T00:00:00.123456Z") % 1_000_000, 123_456);
  assert.equal(format.between("2026-01-01T00:00:00.000100Z", "2026-01-01T00:00:01.000350Z"), 1000.25);
  const spans = [0.35, 12, 3400, 300_000, 9_000_000, 260_000_000].map(format.span);
  assert.deepEqual(spans, ["350 µs", "12 ms", "3.4 s", "5 min", "2.5 h", "3 d"]);
  assert.deepEqual([1023, 1024, 15 * 1024 ** 2].map(format.bytes), ["1023 B", "1.0 KiB", "15 MiB"]);
  assert.equal(format.plural(1, "call"), "1 call");
  assert.equal(format.plural(1200, "call"), "1,200 calls");
});

test("routes in the page's address", () => {
  const to = link(["calls", "a/b"], { q: "state:failed x&y", call: undefined });
  assert.equal(to, "#/calls/a%2Fb?q=state%3Afailed+x%26y");
  assert.deepEqual(parse(to), { path: ["calls", "a/b"], params: { q: "state:failed x&y" } });
  assert.deepEqual(parse("#/%E0%A4%A"), { path: ["%E0%A4%A"], params: {} });
});

test("time is linear except for long quiet stretches", () => {
  const second = 1_000_000;
  const hour = 3600 * second;
  const time = scale([0, second, 2 * second, 3 * second, hour, hour + second]);
  assert.equal(time.gaps.length, 1);
  assert.ok(time.gaps[0].ms > 3_000_000);
  assert.equal(time.at(0), 0);
  assert.equal(Math.round(time.at(hour + second)), 100);
  const one = time.at(second) - time.at(0);
  assert.ok(Math.abs(time.at(2 * second) - time.at(second) - one) < 1e-9);
  assert.ok(time.at(hour) > time.at(3 * second));
  const flat = scale([0, 60 * second]);
  assert.deepEqual([flat.gaps.length, flat.at(30 * second)], [0, 50]);
  assert.equal(scale([7]).at(7), 0);
});

test("the steps of an attempt come from its events", () => {
  const found = attempts([
    { kind: "claimed", attempt: 1, at: "t1", detail: { rule: "method POST" } },
    { kind: "lost", attempt: 1, at: "t2", detail: { status: "in_doubt", why: "stopped" } },
    { kind: "claimed", attempt: 2, at: "t3", detail: { why: "released" } },
    {
      kind: "finished",
      attempt: 2,
      at: "t6",
      detail: { status: "completed", sent_at: "t4", first_byte_at: "t5" },
    },
    { kind: "duplicates", attempt: 2, at: "t7", detail: {} },
  ]);
  assert.equal(found.length, 2);
  assert.deepEqual([found[0].recorded, found[0].ended, found[0].sent], ["t2", "in_doubt", undefined]);
  const { claimed, sent, firstByte, recorded } = found[1];
  assert.deepEqual([claimed, sent, firstByte, recorded], ["t3", "t4", "t5", "t6"]);

  const at = (millis) => new Date(millis).toISOString();
  const bar = parts({
    status: "completed",
    attempt: 1,
    started_at: at(0),
    sent_at: at(2),
    first_byte_at: null,
    completed_at: at(10),
  });
  assert.deepEqual(bar.map(({ name, ms }) => [name, ms]), [
    ["claimed → sent", 2],
    ["sent → recorded", 8],
  ]);
});

test("a stream of events is parsed in whatever pieces it arrives", () => {
  const seen = [];
  const take = parser((message) => seen.push([message.id, message.event, message.data]));
  for (const part of ["id: 4\nev", "ent: change\ndata: {", "}\n", "\n: still here\n\nid: 5\ndata: x\n\n"]) {
    take(part);
  }
  assert.deepEqual(seen, [["4", "change", "{}"], ["5", "message", "x"]]);
});

test("new rows go on top, known ones are replaced", () => {
  const rows = merge([{ id: "2", n: 1 }, { id: "1", n: 1 }], [{ id: "3", n: 2 }, { id: "2", n: 2 }], newestFirst);
  assert.deepEqual(rows, [{ id: "3", n: 2 }, { id: "2", n: 2 }, { id: "1", n: 1 }]);
});

test("the vendored file matches its recorded hash", () => {
  const vendored = new URL("../vendor/preact-htm.js", import.meta.url);
  const hash = createHash("sha256").update(readFileSync(vendored)).digest("hex");
  const recorded = readFileSync(new URL("../vendor/preact-htm.js.sha256", import.meta.url), "utf8");
  assert.equal(recorded, `${hash}  preact-htm.js\n`);
});
