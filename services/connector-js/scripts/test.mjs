// Builds the sources and runs the tests on the result: npm test, npm test -- test/table.test.mjs
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";

process.chdir(fileURLToPath(new URL("..", import.meta.url)));
const node = (...args) => {
  const { status } = spawnSync(process.execPath, args, { stdio: "inherit" });
  if (status !== 0) process.exit(status ?? 1);
};
const given = process.argv.slice(2);
const all = readdirSync("test").filter((name) => name.endsWith(".test.mjs")).map((name) => `test/${name}`);
node("scripts/build.mjs", ".build");
node("--test", "--test-reporter=spec", ...(given.length ? given : all));
