// Accessibility of the playground: axe finds no serious problem, no sideways scrolling on a phone, everything works by keyboard.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Playground, launch } from "./support/browser.mjs";
import { startCluster } from "../support/cluster.mjs";

let browser;
let cluster;
before(async () => {
  [browser, cluster] = await Promise.all([launch(), startCluster()]);
});
after(async () => {
  await browser?.close();
  await cluster?.stop();
});

const desktop = { width: 1360, height: 900 };
const phone = { width: 320, height: 640 };

for (const colorScheme of ["light", "dark"]) {
  for (const [name, viewport] of Object.entries({ desktop, phone })) {
    test(`axe finds nothing serious and nothing is too wide: ${colorScheme}, ${name}`, async () => {
      const ann = await Playground.open(browser, cluster.nodes[0], { id: `ann-${colorScheme}-${name}`, colorScheme, viewport });
      assert.deepEqual(await ann.barriers(), [], "before it is connected");
      assert.equal(await ann.overflow(), 0);
      await ann.choice("ws-node").selectOption("");
      await ann.field("URL of the ws-node").fill(cluster.nodes[1].ws);
      await ann.button("Connect").click();
      await ann.status("Connected to");
      const bob = await Playground.connected(browser, cluster.nodes[0], { id: `bob-${colorScheme}-${name}`, colorScheme, viewport });
      await ann.join("a-room-with-the-longest-name-".padEnd(64, "x"));
      await bob.say(`a long word: ${"x".repeat(200)}`, "broadcast");
      await ann.heard("a long word");
      await ann.ask("nobody", "{}");
      for (const player of [ann, bob]) await player.button("Find a match").click();
      await ann.page.locator("#scores li").first().waitFor();
      await ann.button("Pause").click();
      assert.deepEqual(await ann.barriers(), [], "in a match");
      assert.equal(await ann.overflow(), 0);
      await Promise.all([ann.close(), bob.close()]);
    });
  }
}

test("everything works by keyboard, and the focus is visible", async () => {
  const ann = await Playground.open(browser, cluster.nodes[0], { id: "ann" });
  const { page } = ann;
  await page.locator("#room").press("Enter");
  await page.locator("#events", { hasText: "that needs a connection" }).waitFor();
  /** Presses Tab until the element has focus. */
  const tabTo = async (id) => {
    for (let i = 0; i < 60; i++) {
      await page.keyboard.press("Tab");
      const { at, outline } = await page.evaluate(() => ({
        at: document.activeElement.id || document.activeElement.textContent,
        outline: getComputedStyle(document.activeElement).outlineStyle,
      }));
      assert.notEqual(outline, "none", `the focus on ${at} is seen`);
      if (at === id) return;
    }
    assert.fail(`Tab never comes to ${id}`);
  };
  await page.reload();
  await tabTo("Skip to the playground");
  await tabTo("client");
  await page.keyboard.press("ControlOrMeta+a");
  await page.keyboard.type("ann");
  await tabTo("connect");
  await page.keyboard.press("Enter");
  await ann.status("Connected to");
  assert.equal(await page.evaluate(() => document.activeElement.id), "connect", "the focus stays");
  await tabTo("room");
  await page.keyboard.press("ControlOrMeta+a");
  await page.keyboard.type("tea");
  await page.keyboard.press("Enter");
  await ann.button("Leave tea").waitFor();
  await tabTo("text");
  await page.keyboard.type("typed, not clicked");
  await page.keyboard.press("Enter");
  await ann.heard("typed, not clicked");
  await tabTo("event");
  await page.keyboard.press("Enter");
  await page.locator("#outcome .title", { hasText: "echo ·" }).waitFor();
  await tabTo("frames");
  await ann.close();
});

test("pages have content types, no inline script, and caches revalidate them", async () => {
  const page = await fetch(cluster.nodes[0].http);
  const policy = page.headers.get("content-security-policy");
  assert.match(policy, /default-src 'none'; script-src 'self'; style-src 'self';/);
  assert.doesNotMatch(policy, /unsafe/);
  assert.equal(page.headers.get("cache-control"), "no-cache");
  const again = await fetch(cluster.nodes[1].http, { headers: { "if-none-match": page.headers.get("etag") } });
  assert.equal(again.status, 304, "the other ws-node has the same files");
  for (const [path, type] of [["main.js", "text/javascript; charset=utf-8"], ["connector.min.js", "text/javascript; charset=utf-8"], ["style.css", "text/css; charset=utf-8"], ["icon.svg", "image/svg+xml"]]) {
    const url = `${cluster.nodes[0].http}playground/${path}`;
    const [head, whole] = [await fetch(url, { method: "HEAD" }), await fetch(url)];
    assert.equal(whole.headers.get("content-type"), type);
    const length = (await whole.arrayBuffer()).byteLength;
    assert.equal(Number(head.headers.get("content-length")), length, "HEAD says how long it is");
    assert.equal((await head.arrayBuffer()).byteLength, 0);
  }
});
