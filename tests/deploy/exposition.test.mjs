// What a real Prometheus makes of /metrics: names, types, and the trace beside a value. `exposition-test.sh` runs it.

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";

const { PROGRAMS = "target/debug", PROMETHEUS = "prometheus", PROMTOOL = "promtool" } = process.env;
const LIMIT_MS = 60_000;
const started = [];
const work = mkdtempSync(join(tmpdir(), "exposition-"));
let ops, prometheus;

const start = (program, args, env = {}) => {
  const child = spawn(program, args, { stdio: ["ignore", "ignore", "pipe"], env: { PATH: process.env.PATH, ...env } });
  started.push(child);
  return child;
};

const freePort = () =>
  new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });

/** Asks until the answer is there. */
const until = async (what, ask) => {
  const end = Date.now() + LIMIT_MS;
  for (;;) {
    const answer = await ask().catch(() => undefined);
    if (answer) return answer;
    assert.ok(Date.now() < end, `${what} in ${LIMIT_MS} ms`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
};

const api = async (path) => (await (await fetch(`${prometheus}/api/v1/${path}`)).json()).data;

before(async () => {
  // Traces are sampled, and there is nobody to take them.
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${await freePort()}` };
  const listen = ["--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"];
  const server = start(join(PROGRAMS, "examples/greeter"), ["--profile", "demo", "--name", "g-1", ...listen], env);
  const lines = createInterface({ input: server.stderr });
  ops = await new Promise((resolve, reject) => {
    lines.on("line", (line) => line.includes("ops_listen") && resolve(JSON.parse(line).ops_listen));
    server.on("error", reject);
    lines.on("close", () => reject(new Error("the server ended")));
  });
  const config = `global: {scrape_interval: 1s}\nscrape_configs: [{job_name: it, static_configs: [{targets: ["${ops}"]}]}]\n`;
  writeFileSync(join(work, "prometheus.yml"), config);
  const port = await freePort();
  prometheus = `http://127.0.0.1:${port}`;
  const child = start(PROMETHEUS, [
    `--config.file=${join(work, "prometheus.yml")}`,
    `--storage.tsdb.path=${join(work, "data")}`,
    `--web.listen-address=127.0.0.1:${port}`,
    "--enable-feature=exemplar-storage",
  ]);
  child.stderr.resume();
  child.on("error", (error) => assert.fail(`Prometheus does not start: ${error}`));
  await until("Prometheus is ready", async () => (await fetch(`${prometheus}/-/ready`)).ok);
  await until("it has scraped", async () => (await api("query?query=up")).result.some(({ value }) => value[1] === "1"));
});

after(() => {
  for (const child of started) child.kill("SIGKILL");
  rmSync(work, { recursive: true, force: true });
});

test("promtool has nothing to say against the text", async () => {
  const input = await (await fetch(`http://${ops}/metrics`)).text();
  const { status, stdout, stderr } = spawnSync(PROMTOOL, ["check", "metrics"], { input, encoding: "utf8" });
  // What the process collector of the prometheus crate exports is not ours.
  const said = (stdout + stderr).split("\n").filter((line) => line && !line.startsWith("process_"));
  assert.deepEqual(said, []);
  assert.ok(status === 0 || status === 3, `promtool ended with ${status}`);
});

test("Prometheus reads OpenMetrics, with the types and the units of the metrics", async () => {
  const { activeTargets } = await api("targets");
  assert.equal(activeTargets[0].lastError, "");
  const metadata = await api("metadata");
  const about = (name) => metadata[name]?.map(({ type, unit }) => `${type} ${unit}`);
  assert.deepEqual(about("greeter_start_seconds"), ["histogram seconds"]);
  assert.deepEqual(about("process_cpu_seconds"), ["counter seconds"]);
  const { result } = await api(`query?query=${encodeURIComponent("process_cpu_seconds_total")}`);
  assert.equal(result.length, 1);
});

test("Prometheus keeps the trace of a value", async () => {
  const query = encodeURIComponent("greeter_start_seconds_bucket");
  const path = `query_exemplars?query=${query}&start=${Date.now() / 1000 - 600}&end=${Date.now() / 1000 + 60}`;
  const [{ exemplars }] = await until("an exemplar", async () => {
    const found = await api(path);
    return found.length > 0 && found;
  });
  assert.match(exemplars[0].labels.trace_id, /^[0-9a-f]{32}$/);
  assert.ok(Number(exemplars[0].value) >= 0);
});
