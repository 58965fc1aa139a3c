// How blocks are found and put together, and what it takes for a block of commands to pass.
import assert from "node:assert/strict";
import { test } from "node:test";
import { parse, session } from "./blocks.mjs";
import { isSaid, run } from "./shell.mjs";

const document = (...lines) => parse("x.md", lines.join("\n"));
const shell = (...lines) => run([{ path: "x.md", line: 7, text: lines.join("\n") + "\n" }], 2000);

test("a block has its line, its language, its text, and what the comment before it says", () => {
  assert.deepEqual(document("# x", "<!-- test: name=a dry=\"needs a cluster\" -->", "", "```sh", "one", "", "two", "```", "```rust,no_run", "```"), [
    { path: "x.md", line: 4, language: "sh", text: "one\n\ntwo\n", name: "a", dry: "needs a cluster" },
    { path: "x.md", line: 9, language: "rust", text: "\n" },
  ]);
});

test("what cannot be understood is an error that names its line", () => {
  assert.throws(() => document("", "```", "```"), /^Error: x.md:2: say what is in this block/);
  assert.throws(() => document("```sh", "one"), /x.md:1: this block is not closed/);
  assert.throws(() => document("<!-- test: skip=yes -->", "```sh", "```"), /x.md:1: skip is none of name, after/);
  assert.throws(() => document("<!-- test: dry -->", "```sh", "```"), /x.md:1: "dry" is not KEY=VALUE/);
  assert.throws(() => document("<!-- test: name=a", "-->"), /x.md:1: the comment must end in its line/);
  assert.throws(() => document("<!-- test: name=a -->", "words"), /x.md:2: the comment before this line is for a block/);
});

test("a block runs after what it needs, and before what ends that", () => {
  const [a, b, c] = [{ name: "a", then: "c" }, { name: "b", after: "a", then: "c" }, { name: "c", after: "a" }];
  const all = [a, b, c];
  const names = (block) => session(block, all).map(({ name }) => name).join();
  assert.deepEqual(all.map(names), ["a,c", "a,b,c", "a,c"]);
  assert.throws(() => session({ path: "x.md", line: 1, after: "d" }, all), /x.md:1: no block is called d/);
});

test("a command that fails is named with its line, also inside of others", async () => {
  await assert.rejects(shell("true", "false", "true"), /x.md:7: a command failed\n.*x.md: line 9: exit code 1: false/);
  await assert.rejects(shell('echo "$(true | false)"'), /x.md: line 8: exit code 1/);
  await assert.rejects(shell("no-such-program"), /no-such-program: command not found/);
});

test("a block ends what it starts, and .gitignore has what it makes", async () => {
  await assert.rejects(shell("sleep 600 &"), /x.md:7: still running after the last command: sleep/);
  await assert.rejects(shell("echo secret > key.txt"), /it makes key.txt, which .gitignore does not have/);
  await shell("sleep 600 &", "kill %1; wait %1 || true");
});

test("what a block says that it prints must be printed, but for numbers, ids and what is left out", async () => {
  isSaid('# {"a":1,…"c":"0123456789abcdef-1"}', 'before {"a":23,"b":2,"c":"6881c3075af40a5c-7"} after');
  assert.throws(() => isSaid('# {"a":1}', '{"b":1}'), /it does not print {"a":1}/);
  await assert.rejects(shell("echo disconnected?", "# connected!", "true", "# open"), /it does not print open/);
});
