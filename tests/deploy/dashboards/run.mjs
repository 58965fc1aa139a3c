// Whether every expression of the dashboards returns data from a real Prometheus that scrapes a real bundle under load, and whether every
// latency that shows exemplars has some. Takes two minutes; needs redis-server and prometheus. Everything listens on free ports of this
// machine and ends with it.
//
//   run.mjs FOLDER-WITH-THE-PROGRAMS [SECONDS OF LOAD]
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Program, freePort, until } from "../../support/cluster.mjs";
import { startBundle } from "./bundle.mjs";
import { expressions, needFaults, toCome, variables } from "./expressions.mjs";

const [programs, seconds = "60"] = process.argv.slice(2);
if (!programs) {
  console.error("usage: run.mjs FOLDER-WITH-THE-PROGRAMS [SECONDS OF LOAD]");
  process.exit(64);
}

/** A Prometheus that scrapes every second, and gives series the labels that the chart's monitors give. */
async function startPrometheus(targets, work) {
  const scrape = targets.map(({ component, name, opsPort }) => ({
    job_name: name,
    static_configs: [{ targets: [`127.0.0.1:${opsPort}`], labels: { namespace: "live", release: "wsmesh", component, pod: name } }],
  }));
  const file = join(work, "prometheus.json");
  writeFileSync(file, JSON.stringify({ global: { scrape_interval: "1s", scrape_timeout: "1s" }, scrape_configs: scrape }));
  const port = await freePort();
  const program = new Program("prometheus", [`--config.file=${file}`, `--storage.tsdb.path=${join(work, "tsdb")}`, `--web.listen-address=127.0.0.1:${port}`, "--enable-feature=exemplar-storage", "--log.level=warn"]);
  const ask = async (path, parameters) => {
    const answer = await fetch(`http://127.0.0.1:${port}/api/v1/${path}?${new URLSearchParams(parameters)}`).then((got) => got.json());
    if (answer.status !== "success") throw new Error(`${JSON.stringify(parameters)}: ${answer.error}`);
    return answer.data;
  };
  await until("Prometheus is ready", () => (program.runs(), fetch(`http://127.0.0.1:${port}/-/ready`).then(({ ok }) => ok, () => false)));
  return { ask, stop: () => program.stop("SIGKILL") };
}

/** What stayed without data, of all that was asked: `{ where, why }`. */
async function withoutData(prometheus, start, end) {
  const [gaps, asked] = [[], expressions(end - start)];
  for (const { where, expr, exemplar } of asked) {
    const { result } = await prometheus.ask("query_range", { query: expr, start, end, step: "2" });
    if (!result.some(({ values }) => values.some(([, value]) => value !== "NaN"))) gaps.push({ where, expr, why: "no data" });
    else if (exemplar) {
      const found = await prometheus.ask("query_exemplars", { query: expr, start, end });
      if (!found.some(({ exemplars }) => exemplars.some(({ labels }) => labels.trace_id))) gaps.push({ where, expr, why: "no exemplar with a trace_id" });
    }
  }
  for (const { where, label, match } of variables()) {
    const values = await prometheus.ask(`label/${label}/values`, { "match[]": match, start, end });
    if (!values.length) gaps.push({ where, expr: match, why: "no value to choose" });
  }
  return { gaps, asked: asked.length };
}

/** Prints what is missing, sorted by why it may be; returns whether nothing is missing that should be there. */
function report({ gaps, asked }, failedLoads) {
  const [faults, coming] = [needFaults(), toCome()];
  const places = new Set(expressions(1).map(({ where }) => where));
  const isComing = ({ expr, why }) => coming.some((name) => expr.includes(name)) || (why.includes("exemplar") && coming.includes("exemplars"));
  const missing = gaps.filter((gap) => !faults.has(gap.where) && !isComing(gap));
  const unknown = [...faults.keys()].filter((where) => !places.has(where));
  for (const gap of gaps.filter(({ where }) => faults.has(where))) console.log(`needs a fault: ${gap.where}: ${faults.get(gap.where)}`);
  for (const gap of gaps.filter(isComing)) console.log(`to come: ${gap.where}: ${gap.why}`);
  for (const where of unknown) console.error(`needs-a-fault.txt names ${where}, which is not on a dashboard`);
  for (const { where, expr, why } of missing) console.error(`MISSING: ${where}: ${why}: ${expr}`);
  for (const { command, code, log } of failedLoads) console.error(`load ended with ${code}: ${command}\n${log.slice(-600)}`);
  console.log(`${asked - missing.length} of ${asked} expressions return data or are excused; ${gaps.filter(isComing).length} to come, ${missing.length} missing`);
  return missing.length === 0 && unknown.length === 0;
}

const work = mkdtempSync(join(tmpdir(), "dashboards-"));
let [bundle, prometheus] = [];
try {
  bundle = await startBundle(resolve(programs), work);
  const start = Math.floor(Date.now() / 1000);
  prometheus = await startPrometheus(bundle.targets, work);
  // Counters that begin with the load have an increase only if they were scraped before; what ends last is to be scraped, too.
  await until("all are scraped", async () => Number((await prometheus.ask("query", { query: "sum(up)" })).result[0]?.value[1]) >= bundle.targets.length);
  const loading = bundle.load(Number(seconds));
  await until("clients are connected", async () => (await prometheus.ask("query", { query: "sum(wsmesh_connections)" })).result[0]?.value[1] > 50);
  const [loads] = await Promise.all([loading, bundle.faults()]);
  // Clients without a right, or of a backend that fails, are answered with errors, and so their program ends with 1.
  const failed = loads.filter(({ code }) => code !== 0 && code !== 1);
  await sleep(3000);
  const done = await withoutData(prometheus, start, Math.floor(Date.now() / 1000));
  console.log(`the collector was sent ${bundle.backend.spans()} batches of spans`);
  if (!report(done, failed)) process.exitCode = 1;
} finally {
  await prometheus?.stop();
  await bundle?.stop();
  rmSync(work, { recursive: true, force: true });
}
