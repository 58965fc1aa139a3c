// The control that scales the Redis nodes. Only what admin would say in Kubernetes is made up: snapshots with a membership, and the answers
// to the requests.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch } from "./support/browser.mjs";
import { Dashboard } from "./support/dashboard.mjs";
import { startStandalone } from "../support/cluster.mjs";

let browser;
let bundle;
before(async () => {
  [browser, bundle] = await Promise.all([launch(), startStandalone()]);
});
after(async () => {
  await browser?.close();
  await bundle?.stop("SIGKILL");
});

/** The first snapshot of the stream of news. */
async function snapshot() {
  const stopped = new AbortController();
  const answer = await fetch(`${bundle.admin}api/v1/events`, { signal: stopped.signal });
  let text = "";
  for await (const chunk of answer.body.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    const found = /^event: snapshot\r?\ndata: (.*)\r?\n/m.exec(text);
    if (found) {
      stopped.abort();
      return JSON.parse(found[1]);
    }
  }
  throw new Error("the stream ended without a snapshot");
}

/** The page of an admin that follows a StatefulSet. `answer` is what it answers to a scale. */
async function inKubernetes(answer) {
  const news = await snapshot();
  news.nodes.membership = { leader: "admin-7d9c-x2x4k", replicas: 4, differences: [], problem: null };
  const context = await browser.newContext();
  const page = new Dashboard(await context.newPage());
  const asked = [];
  await page.page.route("**/api/v1/events", (route) => route.fulfill({ contentType: "text/event-stream", body: `event: snapshot\ndata: ${JSON.stringify(news)}\n\n` }));
  await page.page.route("**/api/v1/nodes/scale", (route) => {
    asked.push(route.request().postDataJSON());
    route.fulfill(answer);
  });
  await page.page.goto(`${bundle.admin}#nodes`);
  await page.page.locator("#scale-now", { hasText: "The StatefulSet has 4 pods; admin-7d9c-x2x4k follows it." }).waitFor();
  return { page, asked, replicas: page.field("Redis nodes"), scale: page.panel("Scale the Redis nodes").getByRole("button", { name: "Scale" }) };
}

test("scaling down is asked about first, and the job shows each node", async () => {
  const job = {
    id: "1f3c2a9be04d7756-1", what: "scale", node: null, replicas: { from: 4, to: 2 }, admin: "admin-7d9c-x2x4k", state: "running", why: null,
    startedAt: new Date().toISOString(), finishedAt: null, missing: [], servers: [],
    nodes: [{ node: "redis-3", state: "gone", done: true }, { node: "redis-2", state: "draining", done: false }],
  };
  const { page, asked, replicas, scale } = await inKubernetes({ status: 202, json: job });
  assert.equal(await replicas.inputValue(), "4");
  await replicas.fill("2");
  await scale.click();
  const said = await page.answer("Scale to 2");
  assert.match(said.effect, /No message is lost/);
  await page.page.locator("#scale-notice", { hasText: "The Redis nodes are scaled." }).waitFor();
  assert.deepEqual(asked, [{ replicas: 2 }]);
  const shown = page.page.locator("#scale-job");
  await shown.getByText("Scale from 4 to 2 Redis nodes").waitFor();
  await shown.getByText("1 of 2 Redis nodes done").click();
  await shown.locator("li li", { hasText: "redis-2" }).getByText("draining").waitFor();
  assert.equal(await replicas.inputValue(), "2", "what was typed stays");
  assert.deepEqual(await page.barriers(), []);
  await page.close();
});

test("scaling up is not asked about, and what goes wrong is said", async () => {
  const detail = "job 1f3c2a9be04d7756-1 scales the StatefulSet from 4 to 2 replicas: wait until it has ended";
  const problem = { status: 409, contentType: "application/problem+json", json: { type: "about:blank", title: "Conflict", status: 409, detail } };
  const { page, asked, replicas, scale } = await inKubernetes(problem);
  page.expected.push(/409/);
  await replicas.fill("33");
  await scale.click();
  assert.deepEqual(asked, [], "more than it takes is not sent");
  await replicas.fill("5");
  await scale.click();
  await page.page.locator("#scale-notice[data-mood=bad]", { hasText: "scales the StatefulSet from 4 to 2 replicas" }).waitFor();
  assert.deepEqual(asked, [{ replicas: 5 }]);
  await page.close();
});

test("outside of Kubernetes there is no such control", async () => {
  const page = await Dashboard.live(browser, bundle.admin);
  await page.view("Redis");
  await page.page.getByRole("heading", { name: "Add a Redis node" }).waitFor();
  assert.equal(await page.panel("Scale the Redis nodes").count(), 0);
  await page.close();
});
