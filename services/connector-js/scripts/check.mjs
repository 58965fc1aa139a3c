// Fails when dist/ differs from a fresh build, when a file exceeds its size limit, or when the versions differ.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

/** The largest size of a file, gzipped. */
const LIMITS_BYTES = { "connector.min.js": 5400, "otel.js": 500 };
const root = fileURLToPath(new URL("..", import.meta.url));
const fresh = mkdtempSync(join(tmpdir(), "connector-js-"));
const problems = [];
try {
  execFileSync(process.execPath, [join(root, "scripts/build.mjs"), fresh], { stdio: "inherit" });
  const [built, committed] = [files(fresh), files(join(root, "dist"))];
  for (const name of new Set([...built.keys(), ...committed.keys()])) {
    if (built.get(name) !== committed.get(name)) problems.push(`dist/${name} differs from a fresh build: run "make sdk" and commit dist/`);
  }
  for (const [name, limit] of Object.entries(LIMITS_BYTES)) {
    const bytes = gzipSync(readFileSync(join(fresh, name)), { level: 9 }).length;
    if (bytes > limit) problems.push(`${name} is ${bytes} bytes gzipped; the limit is ${limit}`);
    console.log(`${name}: ${bytes} of ${limit} bytes gzipped`);
  }
  const [ours] = /^version = "(.*)"$/m.exec(readFileSync(join(root, "../../Cargo.toml"), "utf8")).slice(1);
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  if (version !== ours) problems.push(`package.json has version ${version} and the workspace's Cargo.toml ${ours}: make them the same`);
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
