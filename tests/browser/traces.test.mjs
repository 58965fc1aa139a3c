// The playground's links to the traces of its requests.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Playground, launch } from "./support/browser.mjs";
import { startStandalone, until } from "../support/cluster.mjs";

let browser;
let traces;
let shown;
before(async () => {
  browser = await launch();
  traces = createServer(({ url, headers }, answer) => {
    shown.push({ url, referer: headers.referer });
    answer.end("a trace");
  });
  await new Promise((resolve) => traces.listen(0, "127.0.0.1", resolve));
});
after(async () => {
  await browser?.close();
  traces?.close();
});

/** A connected page of a bundle whose ws-nodes have these settings. */
async function page(t, ...settings) {
  shown = [];
  const folder = mkdtempSync(join(tmpdir(), "wsmesh-traces-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "ws-node.toml");
  writeFileSync(file, settings.join("\n"));
  const bundle = await startStandalone(`--ws-node-config=${file}`);
  t.after(() => bundle.stop());
  const ann = await Playground.open(browser, bundle.nodes[0], { id: "ann" });
  await ann.page.waitForLoadState("networkidle");
  await ann.button("Connect").click();
  await ann.status("Connected to");
  return ann;
}

test("each request on the wire and in the panel links to its trace, in a new tab that does not know the page", { timeout: 120_000 }, async (t) => {
  const url = `http://127.0.0.1:${traces.address().port}`;
  const ann = await page(t, `playground_traces_url = "${url}/"`, "trust_client_traces = true");
  const { title } = await ann.ask("gamePing", "{}");
  assert.match(title, / · ok$/);
  const link = ann.page.locator("#outcome a.trace");
  await link.waitFor();
  const frame = ann.page.locator("#frames li.out", { hasText: '"gamePing"' });
  const { event, traceparent } = JSON.parse(await frame.locator(".text").innerText());
  assert.equal(event, "gamePing");
  const [, id] = /^00-([0-9a-f]{32})-[0-9a-f]{16}-01$/.exec(traceparent);
  for (const each of [link, frame.locator("a.trace")]) {
    assert.equal(await each.getAttribute("href"), `${url}/trace/${id}`);
    assert.equal(await each.getAttribute("rel"), "noopener");
    assert.equal(await each.getAttribute("target"), "_blank");
  }
  const opened = ann.page.context().waitForEvent("page");
  await link.click();
  const tab = await opened;
  await tab.waitForLoadState();
  assert.equal(tab.url(), `${url}/trace/${id}`);
  assert.equal(await tab.evaluate(() => globalThis.opener), null);
  assert.deepEqual(shown[0], { url: `/trace/${id}`, referer: undefined });

  const another = await ann.ask("echo", "{}");
  assert.match(another.title, / · ok$/);
  assert.notEqual(await link.getAttribute("href"), `${url}/trace/${id}`, "each request has its own");

  // A payload that looks like a frame's end gets no link to what it names.
  await ann.ask("say", JSON.stringify({ fake: `,"traceparent":"00-${"a".repeat(32)}-${"b".repeat(16)}-01"}` }));
  await until("the frame is listed", async () => (await ann.page.locator("#frames li.out", { hasText: '"say"' }).count()) > 0);
  assert.equal(await ann.page.locator(`a[href*="${"a".repeat(32)}"]`).count(), 0);
  assert.deepEqual(await ann.barriers(), []);
  await ann.close();
});

test("a request that waits for its reply links to its trace already", { timeout: 120_000 }, async (t) => {
  let release;
  const late = new Promise((resolve) => (release = resolve));
  const backend = createServer(async (asked, answer) => {
    asked.resume();
    await late;
    answer.writeHead(200, { "content-type": "application/json" }).end('{"ok": true}');
  });
  await new Promise((resolve) => backend.listen(0, "127.0.0.1", resolve));
  t.after(() => backend.close());
  const rule = ["[[rules]]", 'event = "slow"', `url = "http://127.0.0.1:${backend.address().port}/"`];
  const ann = await page(t, 'playground_traces_url = "http://127.0.0.1:1"', "trust_client_traces = true", ...rule);
  const asking = ann.ask("slow", "{}");
  await ann.page.locator("#outcome .title", { hasText: "Waiting for the reply to slow" }).waitFor();
  const link = ann.page.locator("#outcome a.trace");
  const shownAtOnce = await link.getAttribute("href");
  assert.match(shownAtOnce, /\/trace\/[0-9a-f]{32}$/);
  assert.deepEqual(await ann.barriers(), []);
  release();
  const { title } = await asking;
  assert.match(title, /^slow · .* · ok$/);
  assert.equal(await link.getAttribute("href"), shownAtOnce);
  await ann.close();
});

test("without the setting frames carry no trace, and there are no links", { timeout: 120_000 }, async (t) => {
  const ann = await page(t, "trust_client_traces = true");
  await ann.ask("echo", "{}");
  await ann.drawn();
  const sent = await ann.page.locator("#frames li.out", { hasText: '"echo"' }).locator(".text").innerText();
  assert.equal(JSON.parse(sent).traceparent, undefined);
  assert.equal(await ann.page.locator("a.trace").count(), 0);
  await ann.close();
});
