// Stopping and resuming a ws-node from the page, in the bundle that `make run` starts.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Playground, launch } from "./support/browser.mjs";
import { startCluster, startStandalone } from "../support/cluster.mjs";

let browser;
let bundle;
before(async () => {
  [browser, bundle] = await Promise.all([launch(), startStandalone()]);
});
after(async () => {
  await browser?.close();
  await bundle?.stop("SIGKILL");
});

const host = ({ ws }) => new URL(ws).host;

test("a button stops a ws-node: its clients move to the other one, into their room, and move back when that is stopped", { timeout: 120_000 }, async () => {
  const [first, second] = bundle.nodes;
  const ann = await Playground.connected(browser, first, { id: "ann", url: `${first.ws} ${second.ws}` });
  const bob = await Playground.connected(browser, second, { id: "bob" });
  await ann.status(`Connected to ${host(first)} as ann`);
  await Promise.all([ann.join("tea"), bob.join("tea")]);
  const line = (player, name) => player.page.locator("#node-list li", { hasText: name });
  await line(ann, "ws-node-1").getByText("1 client", { exact: true }).waitFor();

  ann.serverMayBeAway = true;
  await ann.button("Stop ws-node-1").click();
  await ann.page.locator("#nodes-notice", { hasText: "ws-node-1 sends its clients away" }).waitFor();
  await ann.page.locator("#events", { hasText: "closed: 1012 (the server stops or restarts, retry-after-ms=" }).waitFor();
  await ann.status(`Connected to ${host(second)} as ann`);
  await line(ann, "ws-node-1").getByText("0 clients, stopped", { exact: true }).waitFor();
  await line(ann, "ws-node-2").getByText("2 clients", { exact: true }).waitFor();
  await bob.say("still there?", "toRoom", "tea");
  await ann.heard("still there?");

  // It accepts no client while it is stopped.
  const zoe = await Playground.open(browser, first, { id: "zoe" });
  zoe.serverMayBeAway = true;
  await zoe.button("Connect").click();
  await zoe.page.locator("#events", { hasText: "closed: 1006" }).first().waitFor();
  await ann.button("Resume ws-node-1").click();
  await ann.page.locator("#nodes-notice", { hasText: "ws-node-1 accepts clients again" }).waitFor();
  await zoe.status("Connected to");
  await zoe.close();

  // From now on, because bob's page may try before the ws-node accepts clients again.
  bob.serverMayBeAway = true;
  await ann.button("Stop ws-node-2").click();
  await ann.status(`Connected to ${host(first)} as ann`);
  await ann.button("Resume ws-node-2").click();
  await ann.page.locator("#nodes-notice", { hasText: "ws-node-2 accepts clients again" }).waitFor();
  await bob.status("Connected to");
  await bob.say("me too", "broadcast");
  await ann.heard("me too");
  await Promise.all([ann.close(), bob.close()]);
});

for (const colorScheme of ["light", "dark"]) {
  test(`the buttons are for everybody: ${colorScheme}`, async () => {
    const ann = await Playground.open(browser, bundle.nodes[0], { id: "ann", colorScheme, viewport: { width: 320, height: 640 } });
    await ann.button("Stop ws-node-1").waitFor();
    assert.deepEqual(await ann.barriers(), []);
    assert.equal(await ann.overflow(), 0);
    // The numbers of clients beside it change; the focus stays.
    await ann.button("Stop ws-node-2").focus();
    await ann.page.keyboard.press("Enter");
    await ann.page.locator("#nodes-notice", { hasText: "ws-node-2 sends its clients away" }).waitFor();
    assert.equal(await ann.page.evaluate(() => document.activeElement.textContent), "Resume ws-node-2");
    await ann.page.keyboard.press("Enter");
    await ann.page.locator("#nodes-notice", { hasText: "ws-node-2 accepts clients again" }).waitFor();
    if (process.env.WSMESH_PICTURES) await ann.page.locator(".connection").screenshot({ path: `${process.env.WSMESH_PICTURES}/nodes-${colorScheme}.png` });
    await ann.close();
  });
}

test("a page of another host can neither read nor change anything, and its preflight request is refused", async () => {
  const { admin, nodes } = bundle;
  const drain = (origin, more = {}) =>
    fetch(`${admin}api/v1/servers/ws-node-1/drain`, { method: "POST", body: "{}", ...more, headers: { origin, "content-type": "application/json", ...more.headers } });
  const foreign = await drain("http://evil.example.org");
  assert.equal(foreign.status, 403);
  assert.equal(foreign.headers.get("access-control-allow-origin"), null);
  for (const [origin, allowed] of [["http://evil.example.org", null], [new URL(nodes[0].http).origin, new URL(nodes[0].http).origin]]) {
    const asked = await fetch(`${admin}api/v1/servers/ws-node-1/drain`, {
      method: "OPTIONS",
      headers: { origin, "access-control-request-method": "POST", "access-control-request-headers": "content-type" },
    });
    assert.equal(asked.headers.get("access-control-allow-origin"), allowed, origin);
  }
});

test("without an admin there is no button", async () => {
  const cluster = await startCluster();
  try {
    const ann = await Playground.connected(browser, cluster.nodes[0], { id: "ann" });
    assert.deepEqual(await (await fetch(`${cluster.nodes[0].http}playground/admin.json`)).json(), { port: null });
    await ann.drawn();
    assert.equal(await ann.page.locator("#nodes").isVisible(), false);
    await ann.close();
  } finally {
    await cluster.stop();
  }
});
