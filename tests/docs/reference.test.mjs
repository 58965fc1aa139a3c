// The tables of the reference are complete: what the code declares, the documents list.
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { root } from "./blocks.mjs";
import { keysOf } from "./code.mjs";

const read = (path) => readFileSync(join(root, path), "utf8");
/** All Rust sources below a folder, as one text. */
const sources = (folder) =>
  readdirSync(join(root, folder), { recursive: true })
    .filter((name) => name.endsWith(".rs"))
    .map((name) => read(join(folder, name)))
    .join("\n");
/** A section of a document, from its heading to the next one of the same level. */
function section(path, heading) {
  const text = read(path);
  const start = text.indexOf(`\n${heading}\n`);
  assert.ok(start >= 0, `${path} has no heading ${heading}`);
  const end = text.indexOf(`\n${heading.split(" ")[0]} `, start + 1);
  return text.slice(start, end < 0 ? undefined : end);
}
const found = (text, pattern) => [...new Set([...text.matchAll(pattern)].map(([, name]) => name))];
const PROTOCOL = "services/protocol/README.md";

test("every error code is listed", () => {
  const codes = found(sources("services/protocol/src"), /Self::\w+ => "([A-Z_]+)"/g);
  assert.ok(codes.length > 8, codes.join());
  const table = section(PROTOCOL, "## Error codes");
  assert.deepEqual(codes.filter((code) => !table.includes(`| \`${code}\` |`)), []);
});

test("every close code is listed", () => {
  const codes = found(sources("services/protocol/src"), /^\s+([14]\d{3}) => Self::\w+,/gm);
  assert.ok(codes.length > 15, codes.join());
  const rows = section(PROTOCOL, "## Close codes").split("\n").filter((line) => line.startsWith("|"));
  const listed = rows.flatMap((row) => row.split("|")[1].match(/\d{4}/g) ?? []);
  assert.deepEqual(codes.filter((code) => !listed.includes(code)), []);
});

test("every request of the admin API is listed", () => {
  const routes = [...sources("services/admin/src/api").matchAll(/#\[utoipa::path\(\s*(get|post|put|delete),\s*path = "([^"]+)"/g)];
  assert.ok(routes.length > 25, String(routes.length));
  const table = section("services/admin/README.md", "## The API");
  const missing = routes.map(([, method, path]) => `${method.toUpperCase()} ${path}`).filter((route) => {
    const [method, path] = route.split(" ");
    return !table.split("\n").some((line) => line.startsWith(`| \`${method} `) && line.includes(`${path}\``));
  });
  assert.deepEqual(missing, []);
});

test("every option of the adapter is listed", () => {
  const struct = /^pub struct Options \{$(.*?)^\}$/ms.exec(sources("services/adapter/src"))[1];
  const table = section("services/adapter/README.md", "## Options");
  const options = found(struct, /^ {4}pub (\w+):/gm).filter((name) => !["name", "service"].includes(name));
  assert.ok(options.length > 15, options.join());
  assert.deepEqual(options.filter((name) => !table.includes(`| \`${name}\` |`)), []);
});

test("the values that the chart's README names exist", () => {
  const values = new Set(keysOf(read("charts/wsmesh/values.yaml")));
  const rows = section("charts/wsmesh/README.md", "## Values").split("\n").filter((line) => line.startsWith("| `"));
  const named = rows.flatMap((row) => found(row.split("|")[1], /`([\w.]+)`/g));
  assert.ok(named.length > 10, named.join());
  assert.deepEqual(named.filter((path) => !values.has(path)), []);
});
