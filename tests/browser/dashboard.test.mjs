// The dashboard of admin: what happens in the cluster is seen, and what is done there happens. Real servers and Redis processes.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Playground, launch } from "./support/browser.mjs";
import { Dashboard } from "./support/dashboard.mjs";
import { freePort, startCluster, startRedis, startStandalone } from "../support/cluster.mjs";

let browser;
let cluster;
before(async () => {
  [browser, cluster] = await Promise.all([launch(), startCluster({ services: ["game-logic", "admin"], redisCount: 3 })]);
});
after(async () => {
  await browser?.close();
  await cluster?.stop();
});

test("a drain is asked about first; then the ws-node drains, and resumes", async () => {
  const page = await Dashboard.live(browser, cluster.admin);
  await page.view("Servers");
  const row = page.server("ws-0");
  await page.pill(row, "serving").waitFor();
  const sent = page.requests();
  await page.button("Drain ws-0").click();
  const { title, effect } = await page.answer("Cancel");
  assert.match(title, /Drain ws-0\?/);
  assert.match(effect, /sends its clients away/);
  assert.deepEqual(sent.filter((request) => request.startsWith("POST")), []);
  assert.equal(await page.page.evaluate(() => document.activeElement.getAttribute("aria-label")), "Drain ws-0", "the focus comes back");
  await page.button("Drain ws-0").click();
  await page.answer("Drain ws-0");
  await page.told("ws-0 sends");
  await page.pill(row, "draining").waitFor();
  await page.button("Resume ws-0").click();
  await page.told("ws-0 accepts clients again");
  await page.pill(row, "serving").waitFor();
  await page.view("Activity");
  await page.page.locator("#audit tr", { hasText: "ws-0" }).first().waitFor();
  await page.close();
});

test("a client is found, watched through a reconnect to the other ws-node, and disconnected", { timeout: 120_000 }, async () => {
  const [first, second] = cluster.nodes;
  const ann = await Playground.connected(browser, first, { id: "ann", url: `${first.ws} ${second.ws}` });
  ann.serverMayBeAway = true;
  await ann.join("tea");
  const page = await Dashboard.live(browser, cluster.admin);
  await page.find("ann");
  await page.page.locator("#client-where", { hasText: "On ws-0" }).waitFor();
  await page.page.locator("#client-where .chips", { hasText: "tea" }).waitFor();
  await page.button("Watch live").click();
  const watched = (kind, text) => page.page.locator(`#watched li[data-kind=${kind}]`, { hasText: text }).first().waitFor();
  await watched("connected", "on ws-0");
  await ann.say("are you watching?", "toRoom", "tea");
  await watched("in", "command");
  await page.view("Servers");
  await page.button("Drain ws-0").click();
  await page.answer("Drain ws-0");
  await page.view("Clients and rooms");
  await watched("closed", "1012");
  await watched("connected", "on ws-1");
  await page.button("Disconnect").click();
  const { title } = await page.answer("Disconnect ann");
  assert.match(title, /Disconnect ann\?/);
  await page.told("ann was disconnected");
  await watched("closed", "4010");
  await ann.page.locator("#events", { hasText: "closed: 4010" }).waitFor();
  await page.page.locator("#client-notice", { hasText: "not connected" }).waitFor();
  await page.button("Stop").click();
  await page.page.locator("#watch-notice", { hasText: "Stopped" }).waitFor();
  await page.view("Servers");
  await page.button("Resume ws-0").click();
  await page.pill(page.server("ws-0"), "serving").waitFor();
  await Promise.all([ann.close(), page.close()]);
});

test("an operator sends to a client, asks it, moves it between rooms, sends to everyone, and destroys a room", async () => {
  const eve = await Playground.connected(browser, cluster.nodes[1], { id: "eve" });
  const page = await Dashboard.live(browser, cluster.admin);
  await page.find("eve");
  await page.page.locator("#client-where", { hasText: "On ws-1" }).waitFor();
  await page.page.getByText("Send or ask", { exact: true }).click();
  const sending = page.page.locator("#client-send");
  await sending.getByLabel("Event").fill("say");
  await sending.getByLabel("Payload").fill("hello");
  await sending.getByRole("button", { name: "Send", exact: true }).click();
  await sending.locator(".notice", { hasText: "is not JSON" }).waitFor();
  await sending.getByLabel("Payload").fill('{"msg": "only for you"}');
  await sending.getByRole("button", { name: "Send", exact: true }).click();
  await sending.locator(".notice", { hasText: "Sent to eve" }).waitFor();
  await eve.page.locator("#frames", { hasText: "only for you" }).waitFor();
  await page.page.getByText("Join or leave a room", { exact: true }).click();
  const moving = page.page.locator("#client-room");
  await moving.getByLabel("Namespace").fill("chat");
  await moving.getByLabel("Room").fill("attic");
  await moving.getByRole("button", { name: "Join", exact: true }).click();
  await moving.locator(".notice", { hasText: "eve is in chat/attic" }).waitFor();
  await page.page.locator("#client-where").getByRole("button", { name: "chat/attic" }).click();
  await page.page.locator("#members", { hasText: "eve" }).waitFor();
  await page.button("Destroy the room").click();
  const { title } = await page.answer("Destroy chat/attic");
  assert.match(title, /Destroy the room chat\/attic\?/);
  await page.page.locator("#room-count", { hasText: "0 members" }).waitFor();
  const broadcast = page.page.locator("#broadcast");
  await broadcast.getByLabel("Event").fill("say");
  await broadcast.getByLabel("Payload").fill('{"msg": "good evening, all"}');
  await page.button("Send to everyone").click();
  await page.answer("Send to everyone");
  await broadcast.locator(".notice", { hasText: "Sent to" }).waitFor();
  await eve.page.locator("#frames", { hasText: "good evening, all" }).waitFor();
  await Promise.all([eve.close(), page.close()]);
});

test("a Redis is checked, added and followed until it is active; one that cannot be reached is refused with the reason of each server", { timeout: 120_000 }, async () => {
  const redis = await startRedis("redis-new");
  const page = await Dashboard.live(browser, cluster.admin);
  try {
    await page.view("Redis");
    await page.pill(page.node("redis-0"), "active").waitFor();
    await page.field("URL").fill(`redis://127.0.0.1:${await freePort()}#redis-none`);
    page.expected.push(/422/);
    await page.button("Add").click();
    await page.page.locator("#preflight li[data-result=failed]", { hasText: "reachable" }).first().waitFor();
    await page.button("Add anyway").click();
    assert.match((await page.answer("Cancel")).title, /anyway\?/);
    await page.field("URL").fill(redis.url);
    await page.button("Only check").click();
    await page.page.locator("#add-notice", { hasText: "All checks passed" }).waitFor();
    await page.button("Add").click();
    const job = page.page.locator("#preflight .job");
    await page.pill(job, "done").waitFor({ timeout: 60_000 });
    await page.pill(page.node("redis-new"), "active").waitFor();
    await page.view("Overview");
    await page.page.locator("#matrix th", { hasText: "redis-new" }).waitFor();
    await page.view("Redis");
    await page.button("Drain redis-new").click();
    await page.answer("Drain redis-new");
    await page.view("Activity");
    const removal = page.page.locator("#jobs .job", { hasText: "Remove redis-new" });
    await page.pill(removal, "done").waitFor({ timeout: 60_000 });
    await page.close();
  } finally {
    await redis.stop();
  }
});

test("a Redis that is slow is marked, with how slow it is, until it is fast again", { timeout: 120_000 }, async () => {
  const page = await Dashboard.live(browser, cluster.admin);
  const { child } = cluster.redises[0].program;
  let isSlow = true;
  // The fault: it has no CPU for most of the time. It is heard all the while.
  const slowing = (async () => {
    while (isSlow) {
      child.kill("SIGSTOP");
      await sleep(400);
      child.kill("SIGCONT");
      await sleep(40);
    }
  })();
  try {
    await page.page.locator("#problems li[data-mood=warn]", { hasText: "redis-0 is slow: a probe takes" }).waitFor();
    await page.view("Redis");
    await page.pill(page.node("redis-0"), "slow").waitFor();
    await page.node("redis-0").getByText("Slow: a probe takes").waitFor();
    if (process.env.WSMESH_PICTURES) await page.node("redis-0").screenshot({ path: `${process.env.WSMESH_PICTURES}/slow-redis-card.png` });
  } finally {
    isSlow = false;
    await slowing;
  }
  await page.pill(page.node("redis-0"), "active").waitFor();
  await page.close();
});

test("a killed Redis is seen within five seconds, in words and in the matrix", async () => {
  const page = await Dashboard.live(browser, cluster.admin);
  await page.page.locator("#attention-title", { hasText: "Everything is well" }).waitFor();
  await page.page.locator("#matrix td[data-hears=heard]").first().waitFor();
  await cluster.redises[2].stop("SIGKILL");
  const killed = performance.now();
  await page.page.locator("#problems li[data-mood=bad]", { hasText: "redis-2" }).first().waitFor();
  await page.page.locator('#matrix td[data-hears=deaf][title*="redis-2"]').first().waitFor();
  const seconds = (performance.now() - killed) / 1000;
  assert.ok(seconds < 5, `it took ${seconds.toFixed(1)} s`);
  await page.view("Redis");
  await page.pill(page.node("redis-2"), "unreachable").waitFor();
  await page.close();
});

test("while admin is away the page says that it is out of date, and is live again when admin is back", { timeout: 90_000 }, async () => {
  const page = await Dashboard.live(browser, cluster.admin);
  page.expected.push(/ERR_|not loaded|Failed to load resource/);
  await cluster.adminService.stop("SIGKILL");
  await page.page.locator("#live", { hasText: "Out of date" }).waitFor();
  await page.page.locator("#age", { hasText: /last news .* ago, trying again in/ }).waitFor();
  await cluster.adminService.start();
  await page.page.locator("#live[data-state=live]").waitFor({ timeout: 45_000 });
  await page.close();
});

test("the bundle in one process has the same page, without login", async () => {
  const bundle = await startStandalone();
  try {
    const page = await Dashboard.live(browser, bundle.admin);
    await page.page.locator("#attention-title", { hasText: "Everything is well" }).waitFor();
    await page.view("Servers");
    await page.server("ws-node-1").waitFor();
    await page.page.getByLabel("Filter", { exact: true }).and(page.page.locator("#server-filter")).fill("game-logic-2");
    await page.page.locator("#server-count", { hasText: "1 of" }).waitFor();
    await page.close();
  } finally {
    await bundle.stop("SIGKILL");
  }
});
