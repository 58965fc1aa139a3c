// Builds the package into the given folder: ES modules, CommonJS, one file for a <script> tag, types.
import { build } from "esbuild";
import { minify } from "terser";
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const out = resolve(process.argv[2] ?? join(root, "dist"));
const common = { absWorkingDir: root, bundle: true, target: "es2022", charset: "utf8", legalComments: "none" };
const otel = { entryPoints: ["src/otel.ts"], external: ["@opentelemetry/api"] };

// Names that only the classes of this package use: never names of the API, of frames or of the engine (`clear` belongs to Map).
// Short ones save 230 bytes.
const INTERNAL = new RegExp(
  "^(add|answered|authenticate|closed|comesBack|defaults|disconnected|failsAtOnce|fire|flush|full|joined|left|" +
    "listener|lost|mayBePushed|newId|pending|received|refused|remove|replied|restart|room|sent|settings|settle|socket|start|stop|" +
    "tag|tellsClose|text|unknownOption|wanted)$",
);

rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });
await Promise.all([
  build({ ...common, entryPoints: ["src/index.ts"], format: "esm", outfile: join(out, "connector.js") }),
  build({ ...common, entryPoints: ["src/index.ts"], format: "cjs", outfile: join(out, "connector.cjs") }),
  build({ ...common, ...otel, format: "esm", outfile: join(out, "otel.js") }),
  build({ ...common, ...otel, format: "cjs", outfile: join(out, "otel.cjs") }),
  script(),
]);
const tsc = createRequire(import.meta.url).resolve("typescript/bin/tsc");
execFileSync(process.execPath, [tsc, "--emitDeclarationOnly", "--outDir", join(out, "types")], { cwd: root, stdio: "inherit" });
// TypeScript reads declarations by the module kind of their package.json, so CommonJS gets a copy with one of its own.
cpSync(join(out, "types"), join(out, "types-commonjs"), { recursive: true });
writeFileSync(join(out, "types-commonjs/package.json"), '{ "type": "commonjs" }\n');
for (const folder of ["types", "types-commonjs"]) rmSync(join(out, folder, "script.d.ts"));

/** The file for a <script> tag. Terser after esbuild saves another 100 bytes: it chooses names that compress better. */
async function script() {
  const options = { ...common, entryPoints: ["src/script.ts"], format: "iife", minify: true, mangleProps: INTERNAL };
  // Functions at the top and constants on the right compress better. `module` also leaves out "use strict", which changes nothing here.
  const compress = { passes: 3, hoist_funs: true, lhs_constants: false };
  const { outputFiles } = await build({ ...options, write: false });
  const { code } = await minify(outputFiles[0].text, { ecma: 2022, module: true, compress });
  writeFileSync(join(out, "connector.min.js"), `${code}\n`);
}
