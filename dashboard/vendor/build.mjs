// Bundles preact, its hooks and htm into one ES module, and writes the module's hash to a file beside it.
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { build } from "esbuild";

const version = (name) => JSON.parse(readFileSync(`node_modules/${name}/package.json`)).version;
const entry = `
  export { h, render, Fragment } from "preact";
  export { useState, useEffect, useRef, useMemo, useCallback, useReducer } from "preact/hooks";
  import { h } from "preact";
  import htm from "htm";
  export const html = htm.bind(h);
`;
await build({
  stdin: { contents: entry, resolveDir: "." },
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  outfile: "preact-htm.js",
  legalComments: "none",
  banner: {
    js:
      `// preact ${version("preact")} (MIT, LICENSE-preact) and htm ${version("htm")} ` +
      "(Apache-2.0, LICENSE-htm), bundled by build.mjs",
  },
});
for (const name of ["preact", "htm"]) {
  writeFileSync(`LICENSE-${name}`, readFileSync(`node_modules/${name}/LICENSE`));
}
const hash = createHash("sha256").update(readFileSync("preact-htm.js")).digest("hex");
writeFileSync("preact-htm.js.sha256", `${hash}  preact-htm.js\n`);
