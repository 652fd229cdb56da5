// Tests the plugin and the proxy with the real gateway. Prints a table; exits with 1 if a case fails.
import { execFile } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { CASES, INSTALLATION } from "./cases.ts";
import { World } from "./world.ts";

const here = fileURLToPath(new URL("..", import.meta.url));
const [installed, home, only = ""] = process.argv.slice(2);
if (installed === undefined || home === undefined) {
  throw new Error("usage: node e2e/run.ts FOLDER_OF_THE_INSTALLED_OPENCLAW EMPTY_FOLDER [PART_OF_A_NAME]");
}

rmSync(home, { recursive: true, force: true });
mkdirSync(home, { recursive: true });
const { version } = JSON.parse(readFileSync(join(installed, "package.json"), "utf8")) as { version: string };
const { stdout } = await promisify(execFile)("npm", ["pack", "--silent", "--pack-destination", home], { cwd: here });
const world = await World.create({ installed, home, plugin: here, packed: join(home, stdout.trim().split("\n").at(-1) ?? "") });
const rows: string[][] = [];
const began = Date.now();
try {
  for (const { name, expected, run } of CASES) {
    // The other cases need the plugin in the gateway.
    if (name !== INSTALLATION && !name.includes(only)) continue;
    const start = Date.now();
    const seen = await run(world).catch((error: unknown) => `${error}\n${world.gatewayLog()}`);
    const seconds = ((Date.now() - start) / 1000).toFixed(0);
    const result = seen === expected ? "pass" : "MISS";
    rows.push([name, expected, result === "pass" ? "as expected" : (seen.split("\n")[0] ?? ""), result]);
    console.log(`${result}  ${seconds.padStart(3)} s  ${name}`);
    if (result === "MISS") console.log(`  expected: ${expected}\n  seen: ${seen.replaceAll("\n", "\n  ")}`);
  }
} finally {
  await world.close();
}
const missed = rows.filter((row) => row[3] !== "pass").length;
const took = Math.round((Date.now() - began) / 1000);
console.log(`\nopenclaw ${version}, node ${process.versions.node}: ${rows.length - missed} of ${rows.length} in ${took} s`);
if (missed === 0 && only === "") status(version, rows);
process.exit(missed === 0 ? 0 : 1);

/** Writes the table of this run into STATUS.md. */
function status(version: string, rows: string[][]): void {
  const file = join(here, "STATUS.md");
  const date = new Date().toISOString().slice(0, 10);
  const table = [
    `Last full run: ${date}, \`openclaw\` ${version}, Node ${process.versions.node}, ${process.platform} ${process.arch}.`,
    "",
    "| case | expected | result |",
    "|---|---|---|",
    ...rows.map(([name, expected, , result]) => `| ${name} | ${expected} | ${result} |`),
  ];
  const text = readFileSync(file, "utf8");
  const fresh = text.replace(/(<!-- run -->\n)[^]*(<!-- end -->)/, (_, a: string, b: string) => `${a}${table.join("\n")}\n${b}`);
  if (fresh !== text) writeFileSync(file, fresh);
}
