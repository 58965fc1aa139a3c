// Accessibility of the dashboard: axe finds no serious problem, no sideways scrolling on a phone, everything works by keyboard.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Playground, launch } from "./support/browser.mjs";
import { Dashboard, VIEW_NAMES } from "./support/dashboard.mjs";
import { startCluster } from "../support/cluster.mjs";

let browser;
let cluster;
before(async () => {
  [browser, cluster] = await Promise.all([launch(), startCluster({ services: ["game-logic", "admin"], redisCount: 2 })]);
});
after(async () => {
  await browser?.close();
  await cluster?.stop();
});

const desktop = { width: 1360, height: 900 };
const phone = { width: 360, height: 740 };

/** What scrolls up and down inside the page, but for the log of a watched client and fields. */
function scrolling({ page }) {
  return page.evaluate(() =>
    [...document.querySelectorAll("main *:not(#watched, textarea, select, input)")]
      .filter((element) => element.scrollHeight > element.clientHeight + 1 && ["auto", "scroll"].includes(getComputedStyle(element).overflowY))
      .map((element) => element.id || element.className));
}

for (const colorScheme of ["light", "dark"]) {
  for (const [name, viewport] of Object.entries({ desktop, phone })) {
    test(`axe finds nothing serious in any view and nothing is too wide: ${colorScheme}, ${name}`, { timeout: 120_000 }, async () => {
      const id = `a-client-with-a-long-name-${colorScheme}-${name}-`.padEnd(120, "x");
      const client = await Playground.connected(browser, cluster.nodes[0], { id });
      await client.join("a-room-with-the-longest-name-".padEnd(64, "x"));
      const page = await Dashboard.live(browser, cluster.admin, { colorScheme, viewport });
      for (const view of VIEW_NAMES) {
        await page.view(view);
        if (view === "Clients and rooms") {
          await page.find(id);
          await page.button("Watch live").click();
          await page.page.locator("#watched li").first().waitFor();
          await page.page.locator("#client-where").getByRole("button").first().click();
          await page.page.locator("#members").getByRole("button").first().waitFor();
          for (const summary of await page.page.locator("#clients summary:visible").all()) await summary.click();
        }
        await page.drawn();
        assert.deepEqual(await page.barriers(), [], view);
        assert.equal(await page.overflow(), 0, view);
        if (name === "phone") assert.deepEqual(await scrolling(page), [], `nothing in ${view} scrolls inside the page`);
      }
      await page.view("Servers");
      await page.button("Drain ws-0").click();
      await page.page.getByRole("dialog").waitFor();
      assert.deepEqual(await page.barriers(), [], "a question");
      await page.answer("Cancel");
      await Promise.all([client.close(), page.close()]);
    });
  }
}

test("everything works by keyboard, and the focus is visible", async () => {
  const dashboard = await Dashboard.live(browser, cluster.admin);
  const { page } = dashboard;
  const focused = () => page.evaluate(() => {
    const element = document.activeElement;
    return { at: element.getAttribute("aria-label") ?? (element.id || element.textContent), outline: getComputedStyle(element).outlineStyle };
  });
  /** Presses Tab until the element has focus. */
  const tabTo = async (name) => {
    for (let i = 0; i < 80; i++) {
      await page.keyboard.press("Tab");
      const { at, outline } = await focused();
      assert.notEqual(outline, "none", `the focus on ${at} is seen`);
      if (at === name) return;
    }
    assert.fail(`Tab never comes to ${name}`);
  };
  await tabTo("Skip to the content");
  await tabTo("Servers");
  await page.keyboard.press("Enter");
  // The browser tells the page of its new address in a turn of its own.
  await page.locator("#servers-title:focus").waitFor();
  await tabTo("server-filter");
  await page.keyboard.type("ws-1");
  await page.locator("#server-count", { hasText: "1 of" }).waitFor();
  await tabTo("Drain ws-1");
  await page.keyboard.press("Enter");
  await page.getByRole("dialog").waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "hidden" });
  assert.equal((await focused()).at, "Drain ws-1", "the focus comes back");
  await dashboard.close();
});

test("colours follow the switch, and the choice stays", async () => {
  const dashboard = await Dashboard.live(browser, cluster.admin, { colorScheme: "light" });
  const ground = () => dashboard.page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await ground();
  await dashboard.choice("Colours").selectOption("dark");
  assert.notEqual(await ground(), light);
  await dashboard.page.reload();
  await dashboard.isLive();
  assert.notEqual(await ground(), light);
  await dashboard.choice("Colours").selectOption("auto");
  assert.equal(await ground(), light);
  await dashboard.close();
});
