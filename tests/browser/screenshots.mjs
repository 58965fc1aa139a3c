// Takes the pictures of the README: npm ci once, then npm run screenshots (of the dashboard only: npm run screenshots dashboard). Look at them before they are committed.
import { mkdirSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Playground, launch } from "./support/browser.mjs";
import { Dashboard } from "./support/dashboard.mjs";
import { startStandalone, until } from "../support/cluster.mjs";

const folder = fileURLToPath(new URL("screenshots", import.meta.url));
const QUALITY = 60;
/** Long enough for the plots to show something. */
const LOAD_MS = 60_000;

/** WebP, which is a quarter of a PNG; only the protocol of the browser has it. */
async function take({ page }, name) {
  const session = await page.context().newCDPSession(page);
  const { data } = await session.send("Page.captureScreenshot", { format: "webp", quality: QUALITY });
  writeFileSync(`${folder}/${name}.webp`, Buffer.from(data, "base64"));
}

/** Ann and Bob on two ws-nodes, after a few words. */
async function talk(browser, nodes, options) {
  const ann = await Playground.connected(browser, nodes[0], { id: "ann", ...options });
  const bob = await Playground.connected(browser, nodes[1], { id: "bob", ...options });
  await ann.join("tea");
  await bob.join("tea");
  await bob.say("hello from the other ws-node", "broadcast");
  await ann.heard("hello from the other ws-node");
  await ann.say("hi bob, fancy a match?", "toRoom", "tea");
  await bob.heard("fancy a match?");
  await bob.say("sure: whoever has five first", "toRoom", "tea");
  await ann.heard("five first");
  return [ann, bob];
}

/** A match that has been going on for a moment. */
async function play(ann, bob) {
  for (const player of [ann, bob]) await player.button("Find a match").click();
  for (const player of [ann, bob]) await player.page.locator("#scores li").first().waitFor();
  await ann.page.locator("#field").hover({ position: { x: 120, y: 200 } });
  await bob.page.locator("#field").hover({ position: { x: 220, y: 100 } });
  await until("they ran", async () => (await ann.page.locator("#frames li.in").count()) > 30);
}

/** The pictures of the playground. */
async function playgrounds(browser, bundle) {
  for (const colorScheme of ["light", "dark"]) {
    const [ann, bob] = await talk(browser, bundle.nodes, { colorScheme, viewport: { width: 1360, height: 1420 } });
    for (let i = 0; i < 12; i++) {
      await ann.ask("gamePing", "{}");
      await ann.page.waitForTimeout(400);
    }
    if (colorScheme === "dark") await play(ann, bob);
    await take(ann, colorScheme);
    await ann.page.context().close();
    await bob.page.context().close();
  }
  const [ann, bob] = await talk(browser, bundle.nodes, { viewport: { width: 360, height: 740 } });
  await play(ann, bob);
  await ann.page.locator("#game-title").evaluate((title) => title.parentElement.scrollIntoView());
  await take(ann, "phone");
}

/** The dashboard after a moment of load: players in matches on both ws-nodes. */
async function watchOver(browser, { admin, nodes }) {
  const players = await Promise.all(["ann", "bob", "eve", "joe"].map((id, i) => Playground.connected(browser, nodes[i % 2], { id })));
  for (const player of players) await player.join("lobby");
  await players[0].join("tea");
  for (const player of players) await player.button("Find a match").click();
  const page = await Dashboard.live(browser, admin, { viewport: { width: 1360, height: 1010 } });
  await page.page.waitForTimeout(LOAD_MS);
  await take(page, "dashboard");
  for (const tab of [...players, page]) await tab.page.context().close();
}

const [browser, bundle] = await Promise.all([launch(), startStandalone()]);
try {
  mkdirSync(folder, { recursive: true });
  await watchOver(browser, bundle);
  if (!process.argv.includes("dashboard")) await playgrounds(browser, bundle);
} finally {
  await browser.close();
  await bundle.stop();
}
