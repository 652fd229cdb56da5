// For packages of this tree that use the client by path: builds the client if it has no build yet.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const cwd = fileURLToPath(new URL(".", import.meta.url));
const npm = (...args) => {
  const { status } = spawnSync("npm", args, { cwd, stdio: "inherit" });
  if (status !== 0) process.exit(status ?? 1);
};
if (!existsSync(new URL("dist/index.js", import.meta.url))) {
  if (!existsSync(new URL("node_modules/.bin/tsc", import.meta.url))) npm("ci", "--no-audit", "--no-fund");
  npm("run", "build");
}
