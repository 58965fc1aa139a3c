// Every link in every document points at something that is there, and every document can be reached from the README.
import assert from "node:assert/strict";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { documents, root } from "./blocks.mjs";
import { anchorsOf, broken, fileOf, linksOf } from "./links.mjs";

const read = (path) => readFileSync(join(root, path), "utf8");

for (const path of documents()) {
  test(`the links of ${path}`, () => assert.deepEqual(broken(path, read(path)), []));
}

test("every document can be reached from the README", () => {
  const [reached, waiting] = [new Set(), ["README.md"]];
  for (let path; (path = waiting.pop()); ) {
    if (reached.has(path)) continue;
    reached.add(path);
    const targets = linksOf(read(path)).map(({ target }) => fileOf(path, target.split("#")[0]));
    waiting.push(...targets.filter((target) => target.endsWith(".md")));
  }
  assert.deepEqual(documents().filter((path) => !reached.has(path)), []);
});

test("every library and service has a README", () => {
  const folders = readdirSync(join(root, "services"), { withFileTypes: true }).filter((entry) => entry.isDirectory());
  assert.deepEqual(folders.map(({ name }) => name).filter((name) => !existsSync(join(root, "services", name, "README.md"))), []);
});

test("links are found in all their forms, not in code and not to other hosts", () => {
  const text = ["[a](one.md) ![b](two.png \"title\")", "`[c](not.md)` <img src=\"three.webp\">", "```text", "[d](not.md)", "```", "[e]: four.md", "[f](https://example.org/) [g](#here)"];
  assert.deepEqual(
    linksOf(text.join("\n")).map(({ line, target }) => `${line} ${target}`),
    ["1 one.md", "1 two.png", "2 three.webp", "6 four.md", "7 #here"],
  );
});

test("anchors are those that GitHub makes of headings", () => {
  const text = ["# `make run`: what it does", "## A and B!", "## A and B!", "## [Linked](x.md) – *here*", "```sh", "# not this", "```", '<a id="by-hand"></a>'];
  assert.deepEqual([...anchorsOf(text.join("\n"))], ["make-run-what-it-does", "a-and-b", "a-and-b-1", "linked--here", "by-hand"]);
});

test("a link to a missing file, heading or folder outside is named with its line", () => {
  assert.deepEqual(broken("services/x.md", "\n[a](nothing.md) [b](#nothing)\n[c](../../up.md)\n[d](ARCHITECTURE.md#words)"), [
    "services/x.md:2: nothing.md: there is no such file",
    "services/x.md:2: #nothing: there is no such heading",
    "services/x.md:3: ../../up.md: points out of the repository",
  ]);
});

test("a whole link into this repository is one to the file here, at whatever version", () => {
  const text = ["v1.2.3/README.md", "main/services/no.md", "v1.2.3/services/ARCHITECTURE.md#no"].map((rest) => `[a](https://github.com/wsmesh/wsmesh/blob/${rest})`);
  assert.deepEqual(broken("services/x.md", text.join("\n")), [
    "services/x.md:2: /services/no.md: there is no such file",
    "services/x.md:3: /services/ARCHITECTURE.md#no: there is no such heading",
  ]);
});
