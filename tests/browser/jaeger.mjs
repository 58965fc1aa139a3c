// Takes the pictures of services/TELEMETRY.md: one match request of a client in Jaeger, and Jaeger's picture of the services. Jaeger v2 must run with
// its page, on JAEGER (http://127.0.0.1:16686), and take OTLP on OTEL_EXPORTER_OTLP_ENDPOINT (http://127.0.0.1:4318): then npm run jaeger. Look at them
// before they are committed.
import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { launch } from "./support/browser.mjs";
import { startCluster, until } from "../support/cluster.mjs";

const jaeger = process.env.JAEGER ?? "http://127.0.0.1:16686";
const collector = (process.env.OTEL_EXPORTER_OTLP_ENDPOINT ??= "http://127.0.0.1:4318");
// Only what the client samples.
process.env.OTEL_TRACES_SAMPLER = "parentbased_always_off";
process.env.OTEL_BSP_SCHEDULE_DELAY = "200";
const folder = fileURLToPath(new URL("screenshots", import.meta.url));
const QUALITY = 60;

/** Both players ask for a match; Bob's request is a part of his trace. Resolves when both have seen the first state. */
function play([ann, bob], traceparent) {
  const player = (url, id, trace) =>
    new Promise((resolve, reject) => {
      const socket = new WebSocket(`${url}/?id=${id}`);
      socket.onopen = () => socket.send(JSON.stringify({ event: "matchRequest", payload: {}, callbackId: "1", ...trace }));
      socket.onmessage = ({ data }) => data.includes('"matchState"') && resolve();
      socket.onclose = reject;
    });
  return Promise.all([player(ann, "ann", {}), player(bob, "bob", { traceparent })]);
}

/** The client's own span, as its OpenTelemetry SDK would send it. */
async function send(traceId, spanId, start, end) {
  const attribute = (key, stringValue) => ({ key, value: { stringValue } });
  const nanoseconds = (at) => `${Math.round(at)}000000`;
  const span = { traceId, spanId, name: "click: find a match", kind: 3, startTimeUnixNano: nanoseconds(start), endTimeUnixNano: nanoseconds(end) };
  const resource = { attributes: [attribute("service.name", "browser")] };
  const body = JSON.stringify({ resourceSpans: [{ resource, scopeSpans: [{ scope: { name: "game" }, spans: [span] }] }] });
  const answer = await fetch(`${collector}/v1/traces`, { method: "POST", headers: { "content-type": "application/json" }, body });
  if (!answer.ok) throw new Error(`the collector answered ${answer.status}`);
}

/** A part of the page, once it shows all of `texts`. */
async function take(browser, path, name, texts, clip) {
  const page = await browser.newPage({ viewport: { width: 1360, height: 1210 } });
  await page.goto(`${jaeger}${path}`, { waitUntil: "networkidle" });
  for (const text of texts) await page.getByText(text, { exact: true }).first().waitFor();
  const session = await page.context().newCDPSession(page);
  const { data } = await session.send("Page.captureScreenshot", { format: "webp", quality: QUALITY, clip: { ...clip, scale: 1 } });
  writeFileSync(`${folder}/${name}.webp`, Buffer.from(data, "base64"));
}

const json = (path) => fetch(`${jaeger}${path}`).then((answer) => answer.json());

const [browser, bundle] = await Promise.all([launch(), startCluster({ flags: ["--trust-client-traces"], redisCount: 2 })]);
try {
  const [trace, span] = [randomBytes(16).toString("hex"), randomBytes(8).toString("hex")];
  const page = await browser.newPage();
  const start = Date.now();
  await page.evaluate(`(${play})(${JSON.stringify(bundle.nodes.map(({ ws }) => ws))}, "00-${trace}-${span}-01")`);
  await send(trace, span, start, Date.now());
  await until("the trace is complete", async () => {
    const [found] = (await json(`/api/traces/${trace}`)).data ?? [];
    return found?.spans.filter(({ operationName }) => operationName === "process room").length === 2;
  });
  const { data } = await json(`/api/dependencies?endTs=${Date.now()}&lookback=3600000`);
  for (const { parent, child, callCount } of data) console.log(`${parent} -> ${child}: ${callCount}`);
  await take(browser, `/trace/${trace}`, "trace", ["push matchState"], { x: 0, y: 48, width: 1360, height: 1162 });
  await take(browser, "/dependencies", "services", ["browser", "ws-node", "game-logic", "redis"], { x: 500, y: 290, width: 400, height: 740 });
  console.log(`${jaeger}/trace/${trace}`);
} finally {
  await browser.close();
  await bundle.stop();
}
