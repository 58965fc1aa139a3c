// Builds the package into the folder given: ES module, CommonJS, one file for a <script> tag, types.
import { build } from "esbuild";
import { execFileSync } from "node:child_process";
import { cpSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const out = resolve(process.argv[2] ?? join(root, "dist"));
const common = { absWorkingDir: root, bundle: true, target: "es2022", charset: "utf8", legalComments: "none" };

// Names between the classes of this package; no application, no wire and no engine knows them. Short ones save 150 bytes.
const INTERNAL = new RegExp(
  "^(answered|asking|authenticate|closed|comesBack|disconnected|end|failsAtOnce|fire|flush|full|joined|left|limits|" +
    "listener|lost|mayBePushed|newId|odd|received|refused|replied|restart|room|sent|settings|socket|tellsClose|text|wanted)$",
);

rmSync(out, { recursive: true, force: true });
await Promise.all([
  build({ ...common, entryPoints: ["src/index.ts"], format: "esm", outfile: join(out, "connector.js") }),
  build({ ...common, entryPoints: ["src/index.ts"], format: "cjs", outfile: join(out, "connector.cjs") }),
  build({
    ...common,
    entryPoints: ["src/script.ts"],
    format: "iife",
    minify: true,
    mangleProps: INTERNAL,
    outfile: join(out, "connector.min.js"),
  }),
]);
const tsc = createRequire(import.meta.url).resolve("typescript/bin/tsc");
execFileSync(process.execPath, [tsc, "--emitDeclarationOnly", "--outDir", join(out, "types")], { cwd: root, stdio: "inherit" });
// An importer's module kind decides how declarations are read, so CommonJS has a copy that says what it is.
cpSync(join(out, "types"), join(out, "types-commonjs"), { recursive: true });
writeFileSync(join(out, "types-commonjs/package.json"), '{ "type": "commonjs" }\n');
for (const folder of ["types", "types-commonjs"]) rmSync(join(out, folder, "script.d.ts"));
