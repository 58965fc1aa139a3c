// tests/deploy/suites.sh: how `make test` runs its suites and sums up.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { root } from "./blocks.mjs";

const SUITES = `
rust:
	@printf 'test a::b ... ok\\ntest result: ok. 3 passed; 0 failed; 1 ignored; 0 measured\\n'
rust-failing:
	@printf 'test a::b ... FAILED\\ntest result: FAILED. 2 passed; 1 failed; 0 ignored\\n'; exit 101
node-failing:
	@printf '✖ failing tests:\\n\\ntest at x.mjs:1:1\\n✖ it works (1.2ms)\\nℹ pass 4\\nℹ fail 1\\nℹ cancelled 0\\nℹ skipped 2\\nℹ todo 0\\n'; exit 1
# Each of the two ends when it sees the other, so they must run beside each other.
here:
	@touch here; until [ -e there ]; do :; done; printf 'test result: ok. 1 passed; 0 failed; 0 ignored\\n'
there:
	@touch there; until [ -e here ]; do :; done; printf 'test result: ok. 1 passed; 0 failed; 0 ignored\\n'
broken:
	@echo "error: it does not build"; exit 2
`;

function suites(...names) {
  const folder = mkdtempSync(join(tmpdir(), "suites-"));
  writeFileSync(join(folder, "Makefile"), SUITES);
  const { status, stdout } = spawnSync(join(root, "tests/deploy/suites.sh"), names, { cwd: folder, encoding: "utf8", timeout: 60_000 });
  rmSync(folder, { recursive: true });
  return { status, lines: stdout.trimEnd().split("\n") };
}

test("every suite runs, whatever fails before, and the last line sums up", () => {
  const { status, lines } = suites("rust-failing", "broken", "node-failing", "rust");
  assert.equal(status, 1);
  assert.equal(lines.at(-1), "9 passed, 3 failed, 3 skipped");
  assert.equal(lines.filter((line) => /^\d+ passed/.test(line)).length, 1, "CI counts one line");
  const summary = lines.slice(lines.indexOf("=== summary")).join("\n");
  for (const told of [/rust-failing +FAILED +2 passed, 1 failed/, /rust +ok +3 passed/, /rust-failing: a::b/, /node-failing: it works$/m, /broken: .*exit code 2/]) {
    assert.match(summary, told);
  }
});

test("when nothing fails the exit code is 0", () => {
  const { status, lines } = suites("rust");
  assert.deepEqual([status, lines.at(-1)], [0, "3 passed, 0 failed, 1 skipped"]);
  assert.ok(!lines.includes("failed:"));
});

test("lanes run beside each other, and count as if they ran one after another", () => {
  const { status, lines } = suites("rust-failing", "here", "+", "broken", "there", "rust");
  assert.equal(status, 1);
  assert.equal(lines.at(-1), "7 passed, 2 failed, 1 skipped");
  const summary = lines.slice(lines.indexOf("=== summary") + 1).map((line) => line.trim().split(" ")[0]);
  assert.deepEqual(summary.slice(0, 5), ["rust-failing", "here", "broken", "there", "rust"]);
  assert.ok(lines.indexOf("=== there") > lines.indexOf("=== here"), "the output of a suite stays together");
  assert.match(lines.join("\n"), /^broken: done, after \d+ s$/m, "one sees how far the other lanes are");
});
