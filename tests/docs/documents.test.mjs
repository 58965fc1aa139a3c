// Every block of code in every document: it runs as it stands, or is checked in the way of its language. A block in a language
// without a check fails. blocks.mjs says what the comments before blocks mean.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { blocksOf, documents, root, session } from "./blocks.mjs";
import * as code from "./code.mjs";
import { programs, run } from "./shell.mjs";

process.env.WSMESH_WS_NODE = join(programs, "ws-node");
const { startNode } = await import("../../services/connector-js/test/support/ws-node.mjs");

const blocks = documents().flatMap(blocksOf);
let node;
// The namespace auction is that of a tutorial.
before(async () => (node = await startNode(0, ["--client-rooms=chat,auction"])));
after(() => node?.stop());

/** By language, how a block is checked. */
const checks = {
  sh: shell,
  toml: code.toml,
  json: code.json,
  html: code.html,
  yaml: code.yaml,
  rust: (block) => code.rust(block, readFileSync(join(root, block.path), "utf8").split("\n")[block.line - 1]),
  python: code.program,
  go: code.program,
  js: (block) => (block.file ? undefined : code.js(block, node)),
  ts: (block) => code.ts(block, node),
  text: () => {}, // a picture
};

test("the documents are found, with their code", () => {
  const found = (language) => blocks.filter((block) => block.language === language).length;
  assert.ok(documents().includes("README.md") && documents().length >= 19, documents().join());
  assert.ok(found("sh") > 8 && found("js") > 8 && found("rust") > 8 && found("toml") > 2, "too few");
});

test("the README stays a door: at most 160 lines", () => {
  const lines = readFileSync(join(root, "README.md"), "utf8").trimEnd().split("\n").length;
  assert.ok(lines <= 160, `it has ${lines} lines: move what is reference into the README beside the code that it describes`);
});

test("`make run` shows the playground until Ctrl-C", async () => {
  const { path, line, text } = blocks.find((block) => block.text.startsWith("make run "));
  const stop = `kill -INT %1; wait %1 || echo "ended with $?"`;
  const look = `curl -s --retry 30 --retry-connrefused http://127.0.0.1:9000/ >page; grep "<title>" page; rm page`;
  await run([{ path, line, text: [`${text.split("#")[0]} &`, look, stop].join("\n") }]);
});

for (const block of blocks) {
  const skip = skipped(block);
  test(`${block.path}:${block.line} ${block.language}`, { timeout: 1_000_000, skip }, async () => {
    const check = checks[block.language];
    assert.ok(check, `${block.path}:${block.line}: there is no check for ${block.language}: see tests/docs/documents.test.mjs`);
    if (block.file) code.excerpt(block);
    await check(block);
  });
}

/** Why a block is not run here; false if it is. */
function skipped({ needs, quiet }) {
  if (quiet && !process.env.QUIET) return `!!! NOT TESTED: ${quiet}: QUIET=1 make test-docs, on a machine that does nothing else`;
  return needs && spawnSync(needs, ["help"]).error ? `!!! NOT TESTED: ${needs} is not installed` : false;
}

/** Sessions by what runs in them: a block that starts or ends others is run with them once. */
const sessions = new Map();
function shell(block) {
  const parts = session(block, blocks);
  const key = parts.map(({ path, line }) => `${path}:${line}`).join();
  if (!sessions.has(key)) sessions.set(key, run(parts));
  return sessions.get(key);
}
