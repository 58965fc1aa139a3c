// Builds the package into the folder given: ES module, CommonJS, one file for a <script> tag, types.
import { build } from "esbuild";
import { execFileSync } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const out = resolve(process.argv[2] ?? join(root, "dist"));
const common = { absWorkingDir: root, bundle: true, target: "es2022", charset: "utf8", legalComments: "none" };

rmSync(out, { recursive: true, force: true });
await Promise.all([
  build({ ...common, entryPoints: ["src/index.ts"], format: "esm", outfile: join(out, "connector.js") }),
  build({ ...common, entryPoints: ["src/index.ts"], format: "cjs", outfile: join(out, "connector.cjs") }),
  build({
    ...common,
    entryPoints: ["src/script.ts"],
    format: "iife",
    minify: true,
    outfile: join(out, "connector.min.js"),
  }),
]);
const tsc = createRequire(import.meta.url).resolve("typescript/bin/tsc");
const types = (folder) =>
  execFileSync(process.execPath, [tsc, "--emitDeclarationOnly", "--outDir", join(out, folder)], {
    cwd: root,
    stdio: "inherit",
  });
types("types");
// CommonJS has declarations of its own: an importer's module kind decides how a .d.ts is read.
writeFileSync(join(out, "connector.d.cts"), 'export * from "./types/index.js" with { "resolution-mode": "import" };\n');
