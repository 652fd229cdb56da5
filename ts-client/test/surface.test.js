// The names and types that users rely on. After an intended change, run UPDATE_SURFACE=1 npm test.
import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { test } from "node:test";

const golden = new URL("./surface.snapshot.txt", import.meta.url);
const entries = ["index", "adapters/ai", "adapters/langchain", "adapters/openai-agents"];
const declared = ["index", "api", "client", "errors", "options", "run-tool", "transport", "wrap-tools", ...entries.slice(1)];

test("exports and declarations match the snapshot", async () => {
  let text = "";
  for (const entry of entries) {
    const names = Object.keys(await import(`../dist/${entry}.js`)).sort();
    text += `${entry}: ${names.join(", ")}\n`;
  }
  for (const module of declared) {
    const types = await readFile(new URL(`../dist/${module}.d.ts`, import.meta.url), "utf8");
    text += `\n=== ${module}.d.ts\n${types.replace(/^\/\/# .*\n?/gm, "")}`;
  }
  if (process.env.UPDATE_SURFACE) await writeFile(golden, text);
  assert.equal(text, await readFile(golden, "utf8"));
});

test("the package has no runtime dependencies", async () => {
  const manifest = JSON.parse(await readFile(new URL("../package.json", import.meta.url), "utf8"));
  assert.equal(manifest.dependencies, undefined);
  assert.deepEqual(Object.values(manifest.peerDependenciesMeta).map(({ optional }) => optional), [true, true]);
});
