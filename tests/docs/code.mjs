// Checks the blocks that are not shell commands, each in the way of its language.
import { execFile, execFileSync, spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { promisify } from "node:util";
import { root } from "./blocks.mjs";
import { programs } from "./shell.mjs";

const LIMIT_MS = 60_000;
const connector = join(root, "services/connector-js");
const require = createRequire(join(connector, "package.json"));

/** Gives `work` a folder of its own. */
async function inScratch(work) {
  const folder = mkdtempSync(join(tmpdir(), "documents-"));
  try {
    return await work(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** TOML: a configuration that ws-node takes, tokens that admin takes, or dependencies in a Cargo.toml that cargo resolves. */
export const toml = (block) =>
  inScratch((folder) => {
    const manifest = /^\[dependencies\]$/m.test(block.text);
    const tokens = /^\[\[(tokens|kubernetes)\]\]$/m.test(block.text);
    const [program, args] = manifest ? cargo(folder, block) : tokens ? admin(folder, block) : wsNode(folder, block);
    const { status, stderr, error } = spawnSync(program, args, { encoding: "utf8", timeout: LIMIT_MS, env: plainEnvironment() });
    if (status !== 0) throw new Error(error?.message ?? stderr);
  });

function wsNode(folder, { text }) {
  writeFileSync(join(folder, "settings.toml"), text);
  return [join(programs, "ws-node"), ["--profile=demo", `--config=${folder}/settings.toml`, "--print-config"]];
}

function admin(folder, { text }) {
  writeFileSync(join(folder, "tokens.toml"), text);
  return [join(programs, "admin"), ["--profile=demo", `--tokens-file=${folder}/tokens.toml`, "--print-config"]];
}

function cargo(folder, { text }) {
  mkdirSync(join(folder, "src"));
  writeFileSync(join(folder, "src/lib.rs"), "");
  const head = `[package]\nname = "reader"\nedition = "2024"\n`;
  writeFileSync(join(folder, "Cargo.toml"), head + text.replaceAll(/(?<=path = ")(\/path\/to|\.\.)\/wsmesh(?=\/)/g, root.replace(/\/$/, "")));
  copyFileSync(join(root, "Cargo.lock"), join(folder, "Cargo.lock"));
  const [, host] = /^host: (.*)$/m.exec(execFileSync("rustc", ["-vV"], { encoding: "utf8" }));
  return ["cargo", ["metadata", "--offline", "--format-version=1", `--filter-platform=${host}`, `--manifest-path=${folder}/Cargo.toml`]];
}

/** A part of a file: the file has these lines, one after the other, at whatever indentation. */
export function excerpt({ text, file }) {
  const trimmed = (lines) => lines.split("\n").map((line) => line.trim()).filter(Boolean).join("\n");
  if (!`\n${trimmed(readFileSync(join(root, file), "utf8"))}\n`.includes(`\n${trimmed(text)}\n`)) throw new Error(`${file} does not contain this block`);
}

/** Python and Go: shown only as a part of a program that a test runs. */
export function program(block) {
  if (!block.file) throw new Error("write <!-- test: file=PATH --> before it: it must be a part of a program that a test runs");
}

/** HTML: shown only as a part of a page that a test opens in a browser. */
export function html(block) {
  if (!block.file) throw new Error("write <!-- test: file=PATH --> before it: it must be a part of a page that is tested");
}

/** YAML: values of the chart. A key below a value that is empty by default may have any name. */
export function yaml({ text }) {
  const values = readFileSync(join(root, "charts/wsmesh/values.yaml"), "utf8");
  const known = new Set(keysOf(values));
  const open = [...values.matchAll(/^( *)([\w-]+): (\{\}|\[\])/gm)].map(([, , key]) => key);
  for (const path of keysOf(text)) {
    const parts = path.split(".");
    if (!known.has(path) && !parts.slice(0, -1).some((part) => open.includes(part))) throw new Error(`the chart has no value ${path}`);
  }
}

/** The paths of all keys in plain YAML, for example redis.replicas; the content of a literal block (|) is not checked. */
export function keysOf(yaml) {
  const [found, open] = [[], []];
  let literal;
  for (const line of yaml.split("\n")) {
    const [, indent, key, rest] = /^( *)([\w-]+):(.*)$/.exec(line) ?? [];
    const depth = /^ */.exec(line)[0].length;
    if (literal !== undefined && (depth > literal || !line.trim())) continue;
    literal = undefined;
    if (key === undefined) continue;
    while (open.length && open.at(-1).depth >= indent.length) open.pop();
    open.push({ depth: indent.length, key });
    found.push(open.map((entry) => entry.key).join("."));
    if (rest.trim() === "|") literal = indent.length;
  }
  return found;
}

/** Rust: a part of a file that is built elsewhere, or a test of the crate beside the document, which `cargo test` runs. */
export function rust(block, fence) {
  if (block.file) return;
  const crate = readFileSync(join(root, dirname(block.path), "src/lib.rs"), "utf8");
  const included = `#[doc = include_str!("../${basename(block.path)}")]`;
  if (!crate.includes(included)) throw new Error(`src/lib.rs does not have ${included} for its tests`);
  if (/ignore|compile_fail|should_panic/.test(fence)) throw new Error(`${fence}: nobody compiles it`);
}

/** JSON: can be read. */
export const json = ({ text }) => void JSON.parse(text);

/** JavaScript: runs, in a page of its own that is connected to a ws-node. */
export const js = (block, node) =>
  inScratch(async (folder) => {
    packages(folder);
    const file = join(folder, basename(block.path).replace(/md$/, "mjs"));
    const text = block.text.replaceAll("wss://example.org", `ws://${node.address}`);
    // So that an error names the line in the document.
    writeFileSync(file, `${"\n".repeat(block.line)}${text}\n${block.use ?? ""}\nawait globalThis.finish();\n`);
    const args = ["--import", join(root, "tests/docs/page/page.mjs"), file];
    const env = { ...plainEnvironment(), DOCUMENTS_URL: `ws://${node.address}/`, DOCUMENTS_CONNECTOR: connector };
    await promisify(execFile)(process.execPath, args, { cwd: folder, env, timeout: LIMIT_MS }).catch((error) => {
      throw new Error(error.killed ? `it has not ended after ${LIMIT_MS / 1000} s\n${error.stdout}${error.stderr}` : error.stderr);
    });
  });

/** TypeScript: has no type errors, and runs as JavaScript. */
export const ts = (block, node) =>
  inScratch(async (folder) => {
    packages(folder);
    const file = join(folder, basename(block.path).replace(/md$/, "mts"));
    const given = `import { Connector } from "@wsmesh/connector"; declare const url: string;`;
    writeFileSync(file, given + "\n".repeat(block.line) + block.text);
    const tsc = require.resolve("typescript/bin/tsc");
    const options = ["--noEmit", "--strict", "--target", "ES2022", "--module", "Node16", "--lib", "ES2022,DOM"];
    const { status, stdout } = spawnSync(process.execPath, [tsc, ...options, file], { cwd: folder, encoding: "utf8", timeout: LIMIT_MS });
    if (status !== 0) throw new Error(stdout);
    const { outputText } = require("typescript").transpileModule(block.text, { compilerOptions: { target: "ES2022", module: "ES2022" } });
    await js({ ...block, text: outputText }, node);
  });

/** What blocks import: the SDK, and stand-ins for what others bring along. */
function packages(folder) {
  mkdirSync(join(folder, "node_modules/@wsmesh"), { recursive: true });
  symlinkSync(connector, join(folder, "node_modules/@wsmesh/connector"));
  for (const name of readdirSync(join(root, "tests/docs/page/packages"))) {
    symlinkSync(join(root, "tests/docs/page/packages", name), join(folder, "node_modules", name));
  }
}

const plainEnvironment = () => Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(WSMESH|OTEL|NODE)_/.test(name)));
