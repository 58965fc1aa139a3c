// How blocks that are not commands are checked.
import assert from "node:assert/strict";
import { test } from "node:test";
import { excerpt, html, keysOf, yaml } from "./code.mjs";

test("a part of a file is in it line by line, at whatever indentation", () => {
  const file = "services/adapter/examples/first_service.rs";
  excerpt({ file, text: "#[tokio::main]\n    async fn main() -> Result<(), Box<dyn std::error::Error>> {\n" });
  assert.throws(() => excerpt({ file, text: "async fn main()\n" }), /first_service.rs does not contain this block/);
  assert.throws(() => excerpt({ file, text: "#[tokio::main]\nOk(())\n" }), /does not contain/);
  assert.throws(() => html({ text: "<p>" }), /it must be a part of a page that is tested/);
});

test("values of the chart must exist; the content of a text or of a free value is not checked", () => {
  yaml({ text: 'wsNode:\n  replicas: 3\n  config: |\n    event: "x"\n  service:\n    annotations:\n      anything: yes\n' });
  assert.throws(() => yaml({ text: "wsNode:\n  replica: 3\n" }), /the chart has no value wsNode.replica/);
  assert.deepEqual(keysOf("a:\n  b: 1\n  c: |\n    d: 2\ne: {}\n"), ["a", "a.b", "a.c", "e"]);
});
