// Fails when dist/ differs from a fresh build, when the script file exceeds its size limit, or when the versions differ.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const LIMIT_BYTES = 5400;
const root = fileURLToPath(new URL("..", import.meta.url));
const fresh = mkdtempSync(join(tmpdir(), "connector-js-"));
const problems = [];
try {
  execFileSync(process.execPath, [join(root, "scripts/build.mjs"), fresh], { stdio: "inherit" });
  const [built, committed] = [files(fresh), files(join(root, "dist"))];
  for (const name of new Set([...built.keys(), ...committed.keys()])) {
    if (built.get(name) !== committed.get(name)) problems.push(`dist/${name} differs from a fresh build: run "make sdk" and commit dist/`);
  }
  const bytes = gzipSync(readFileSync(join(fresh, "connector.min.js")), { level: 9 }).length;
  if (bytes > LIMIT_BYTES) problems.push(`connector.min.js is ${bytes} bytes gzipped; the limit is ${LIMIT_BYTES}`);
  const [ours] = /^version = "(.*)"$/m.exec(readFileSync(join(root, "../../Cargo.toml"), "utf8")).slice(1);
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  if (version !== ours) problems.push(`package.json has version ${version} and the workspace's Cargo.toml ${ours}: make them the same`);
  console.log(`connector.min.js: ${bytes} of ${LIMIT_BYTES} bytes gzipped`);
} finally {
  rmSync(fresh, { recursive: true });
}
for (const problem of problems) console.error(problem);
process.exit(problems.length ? 1 : 0);

function files(folder) {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return new Map(
    entries.map((entry) => {
      const path = join(entry.parentPath ?? entry.path, entry.name);
      return [path.slice(folder.length + 1), readFileSync(path, "utf8")];
    }),
  );
}
