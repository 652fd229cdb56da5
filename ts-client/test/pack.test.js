// The packed package as users get it: installed into small projects, type-checked, run and linted.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { Engine } from "./support.js";

const HERE = fileURLToPath(new URL("..", import.meta.url));
const bin = (name) => join(HERE, "node_modules/.bin", name);

/** Runs a program and returns its stdout. If it fails, throws with all its output. */
async function run(program, args, cwd = HERE) {
  try {
    return (await promisify(execFile)(program, args, { cwd, encoding: "utf8" })).stdout;
  } catch (error) {
    throw new Error(`${program} ${args.join(" ")}\n${error.stdout}${error.stderr}`);
  }
}

let folder;
let tarball;
let engine;
let typescript;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "ts-client-"));
  const packed = JSON.parse(await run("npm", ["pack", "--json", "--ignore-scripts", "--pack-destination", folder]));
  const [{ filename, files }] = Array.isArray(packed) ? packed : Object.values(packed);
  tarball = join(folder, filename);
  const unexpected = files.map(({ path }) => path).filter((path) => !/^(dist\/|(README\.md|LICENSE|package\.json)$)/.test(path));
  assert.deepEqual(unexpected, []);
  engine = await Engine.start();
  typescript = await project("node16", { type: "module" });
  await linkNodeTypes();
});
after(async () => {
  await engine?.remove();
  await rm(folder, { recursive: true, force: true });
});

async function project(name, manifest) {
  const cwd = join(folder, name);
  await mkdir(cwd);
  await writeFile(join(cwd, "package.json"), JSON.stringify({ private: true, ...manifest }));
  await run("npm", ["install", "--offline", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock", tarball], cwd);
  return cwd;
}

const program = (type) => `
const client = new StateEngineClient({ url: process.argv[2] ?? "" });
const user = await client.createUser(${JSON.stringify(type)});
const session = await client.createSession(user.id);
const goal = await client.createGoal(user.id, session.id, "g");
const call = { userId: user.id, sessionId: session.id, goalId: goal.id, tool: "t", input: 1 };
const results = [await client.runTool(call, () => 1), await client.runTool(call, () => 2)];
if (results.join() !== "1,1") throw new StateEngineError(results.join(), { code: "X", retryable: false, toolRan: "no" });
`;

test("a small ES module project runs", async () => {
  const cwd = await project("esm", { type: "module" });
  const text = `import { StateEngineClient, StateEngineError } from "@openclaw/ts-client";\n${program("esm")}`;
  await writeFile(join(cwd, "main.js"), text);
  await run(process.execPath, ["main.js", engine.url], cwd);
});

const canRequire = process.features.require_module ? {} : { skip: "this Node cannot require ES modules" };
test("a CommonJS program can require it", canRequire, async () => {
  const output = await run(process.execPath, ["-p", 'typeof require("@openclaw/ts-client").wrapTools'], typescript);
  assert.equal(output, "function\n");
});

test("a small TypeScript project with node16 resolution type-checks and runs", async () => {
  const cwd = typescript;
  const text = `import { StateEngineClient, StateEngineError, type ToolRan } from "@openclaw/ts-client";
${program("node16")}
const ran: ToolRan = "no";
const kept: number = await client.runTool(call, () => 3);
export const refused = () => [
  // @ts-expect-error: a user does not have this member
  user.surname,
  // @ts-expect-error: not a status
  client.updateGoal({ ...goal, status: "done" }),
];
void [ran, kept];
`;
  await writeFile(join(cwd, "main.ts"), text);
  await compile(cwd, ["main.ts"], ["--outDir", "out"]);
  await run(process.execPath, ["out/main.js", engine.url], cwd);
});

/** Links the types of Node to where the compiler looks for them. */
async function linkNodeTypes() {
  const modules = join(typescript, "node_modules");
  await mkdir(join(modules, "@types"), { recursive: true });
  for (const name of ["@types/node", "undici-types"]) await symlink(join(HERE, "node_modules", name), join(modules, name));
}

/** Runs a strict tsc that also checks the package's own declarations. */
async function compile(cwd, files, more) {
  const options = ["--strict", "--module", "node16", "--target", "es2022", "--types", "node"];
  await run(bin("tsc"), [...options, ...more, ...files], cwd);
}

test("the code blocks of the README type-check", async () => {
  const readme = await readFile(join(HERE, "README.md"), "utf8");
  const blocks = [...readme.matchAll(/^```ts\n([\s\S]*?)^```$/gm)].map(([, block]) => block);
  assert.ok(blocks.length >= 5);
  const cwd = typescript;
  const files = blocks.map((_, at) => `block${at}.ts`);
  await Promise.all(blocks.map((block, at) => writeFile(join(cwd, files[at]), `${block}\nexport {};\n`)));
  await compile(cwd, files, ["--noEmit"]);
});

test("publint and attw find nothing", async () => {
  await Promise.all([
    run(bin("publint"), ["--strict", tarball]),
    run(bin("attw"), ["--profile", "esm-only", "--no-color", tarball]),
  ]);
});
