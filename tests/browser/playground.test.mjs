// Typical use of the playground, in two tabs on two ws-nodes.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Playground, WAIT_MS, launch } from "./support/browser.mjs";
import { startCluster, until } from "../support/cluster.mjs";

let browser;
let cluster;
before(async () => {
  [browser, cluster] = await Promise.all([launch(), startCluster()]);
});
after(async () => {
  await browser?.close();
  await cluster?.stop();
});

/** Two tabs, one on each ws-node; the second connects by URL from a page of the first. */
async function two(first, second, options) {
  return [
    await Playground.connected(browser, cluster.nodes[0], { id: first, ...options }),
    await Playground.connected(browser, cluster.nodes[0], { id: second, url: cluster.nodes[1].ws, ...options }),
  ];
}

test("two tabs on two ws-nodes chat: everyone, a room, a client", async () => {
  const [ann, bob] = await two("ann", "bob");
  await ann.say("hello, everyone", "broadcast");
  assert.match(await bob.heard("hello, everyone"), /^ann to everyone /);
  assert.match(await ann.heard("hello, everyone"), /^ann to everyone /);

  await ann.say("nobody hears that", "toRoom", "tea");
  await bob.join("tea");
  await ann.join("tea");
  await ann.say("tea is ready", "toRoom", "tea");
  assert.match(await bob.heard("tea is ready"), /^ann to room tea /);
  await bob.say("only for you", "toPlayer", "ann");
  assert.match(await ann.heard("only for you"), /^bob to you /);
  assert.match(await bob.heard("only for you"), /^bob to ann /);
  assert.equal(await bob.page.locator("#messages > div", { hasText: "nobody hears that" }).count(), 0);

  await bob.button("Leave tea").click();
  await bob.page.locator("#chat-notice", { hasText: "You left tea" }).waitFor();
  await ann.say("who is left?", "toRoom", "tea");
  await ann.heard("who is left?");
  await ann.say("all there?", "broadcast");
  await bob.heard("all there?");
  assert.equal(await bob.page.locator("#messages > div", { hasText: "who is left?" }).count(), 0, "a room that was left");
  assert.equal(await ann.page.locator("#messages > div", { hasText: "who is left?" }).count(), 1, "shown once");

  await ann.say("anybody?", "toPlayer", "zoe");
  await ann.page.locator("#chat-notice", { hasText: "zoe is not connected anywhere" }).waitFor();
  await Promise.all([ann.close(), bob.close()]);
});

test("two tabs are matched and play to the end, by keyboard and by pointer", { timeout: 120_000 }, async () => {
  const [ann, bob] = await two("ann", "bob");
  for (const player of [ann, bob]) await player.button("Find a match").click();
  await ann.page.locator("#game-notice", { hasText: "You play against bob" }).waitFor();
  await bob.page.locator("#game-notice", { hasText: "You play against ann" }).waitFor();
  await ann.page.locator("#scores", { hasText: "ann (you)" }).waitFor();

  const states = watchStates(bob);
  const me = () => states.last?.players.find(({ id }) => id === "bob");
  const start = await until("a state came", me);
  const [key, axis, sign] = start.x < 500 ? ["ArrowRight", "x", 1] : ["ArrowLeft", "x", -1];
  await bob.page.keyboard.down(key);
  await until("bob ran", () => (me()[axis] - start[axis]) * sign > 50);
  await bob.page.keyboard.up(key);

  // Ann points at the nearest target until it is over.
  const seen = watchStates(ann);
  const field = ann.page.locator("#field");
  await field.scrollIntoViewIfNeeded();
  const box = await field.boundingBox();
  const over = ann.page.locator("#game-notice", { hasText: "You won" });
  await until("ann collected five targets", async () => {
    if (await over.count()) return true;
    const runner = seen.last?.players.find(({ id }) => id === "ann");
    if (!runner) return false;
    const far = ({ x, y }) => Math.hypot(x - runner.x, y - runner.y);
    const next = seen.last.targets.toSorted((a, b) => far(a) - far(b))[0];
    // The field has a margin.
    const at = (place) => 0.03 + (place / 1000) * 0.94;
    await ann.page.mouse.move(box.x + at(next.x) * box.width, box.y + at(next.y) * box.height);
    return false;
  });
  await bob.page.locator("#game-notice", { hasText: "ann won" }).waitFor();
  await bob.page.locator("#scores", { hasText: /ann\s*5 of 5/ }).waitFor();
  await Promise.all([ann.close(), bob.close()]);
});

/** Keeps the last match state that a tab's WebSocket received from now on, read through the inspector. */
function watchStates(playground) {
  const states = { last: undefined };
  const read = async () => {
    const text = await playground.page
      .locator("#frames li.in", { hasText: '"event":"matchState"' })
      .first()
      .locator(".text")
      .innerText({ timeout: 1000 })
      .catch(() => "");
    if (text) states.last = JSON.parse(text).payload.state;
    if (!playground.page.isClosed()) setTimeout(read, 30);
  };
  void read();
  return states;
}

test("after a restart of its ws-node the page reconnects automatically, into its room, and chat works again", { timeout: 90_000 }, async () => {
  const [ann, bob] = await two("ann", "bob");
  await Promise.all([ann.join("tea"), bob.join("tea")]);
  for (const [signal, close] of [["SIGTERM", "closed: 1012"], ["SIGKILL", "closed: 1006"]]) {
    bob.serverMayBeAway = true;
    await cluster.nodes[1].stop(signal);
    await bob.page.locator("#status[data-state=waiting], #status[data-state=connecting]").waitFor();
    await bob.page.locator("#events", { hasText: close }).waitFor();
    await bob.page.locator("#countdown", { hasText: /in \d+\.\d s/ }).waitFor();
    await cluster.nodes[1].start();
    await bob.status("Connected to");
    bob.serverMayBeAway = false;
    assert.ok(Number(await bob.page.locator("#reconnects").innerText()) >= 1);
    // The room is joined again before anything else, but the other ws-node knows it only after a moment.
    await until("bob hears the room", async () => {
      await ann.say(`after ${signal}`, "toRoom", "tea");
      return bob.page.locator("#messages > div", { hasText: `after ${signal}` }).first().waitFor({ timeout: 1000 }).then(() => true, () => false);
    });
    await bob.say(`I am back after ${signal}`, "toRoom", "tea");
    await ann.heard(`I am back after ${signal}`);
  }
  await Promise.all([ann.close(), bob.close()]);
});

test("requests show their time, reply and error code", async () => {
  const ann = await Playground.connected(browser, cluster.nodes[0], { id: "ann" });
  const echo = await ann.ask("echo", '{"a": 1}');
  assert.match(echo.title, /^echo · \d+(\.\d)? ms · ok$/);
  assert.deepEqual(JSON.parse(echo.text), { ok: true });
  const game = await ann.ask("gamePing", "{}");
  assert.equal(JSON.parse(game.text).server, "logic-0");
  const nobody = await ann.ask("nobody", "{}");
  assert.match(nobody.title, /^nobody · \d+(\.\d)? ms · UNKNOWN_EVENT$/);
  assert.notEqual(nobody.text, "");
  await ann.button("Ask 100 times").click();
  await ann.page.locator("#outcome .title", { hasText: "nobody × 100 · 100 × UNKNOWN_EVENT" }).waitFor();
  await ann.page.locator("#request-p99", { hasText: /^\d.* m?s$/ }).waitFor();

  await ann.field("Payload (JSON)").fill("{oops");
  await ann.button("Ask").click();
  await ann.page.locator("#outcome", { hasText: "The payload is not JSON" }).waitFor();
  await ann.close();
});

test("every frame is on the wire panel: heartbeats, filter, pretty-print, pause, clear", async () => {
  const ann = await Playground.open(browser, cluster.nodes[0], { id: "ann" });
  await ann.choice("Heartbeat").selectOption("1000");
  await ann.button("Connect").click();
  const lines = ann.page.locator("#frames li");
  const texts = () => ann.page.locator("#frames li:not(.note) .text").allInnerTexts();
  const sent = ann.page.locator("#frames li.out");
  await ann.page.locator("#frames li.note", { hasText: `connecting to ${cluster.nodes[0].ws}` }).waitFor();
  await ann.page.locator("#frames li.in", { hasText: "heartbeat" }).first().waitFor();
  await ann.page.locator("#frames li.out", { hasText: "heartbeat" }).first().waitFor();
  for (const figure of ["#latency", "#heartbeat-median"]) {
    await ann.page.locator(figure, { hasText: /^\d+(\.\d)? ms$/ }).waitFor();
  }

  await ann.ask("echo", '{"a":1}');
  const question = await sent.filter({ hasText: "echo" }).first().innerText();
  assert.match(question, /^\d\d:\d\d:\d\d\.\d{3}\s+→ out\s+\d+ B\s+\{"event":"echo","payload":\{"a":1\},"callbackId":"[^"]+"\}$/);
  await ann.field("pretty-print").check();
  const pretty = () => sent.filter({ hasText: "echo" }).first().locator(".text").innerText();
  await until("it is pretty-printed", async () => /^\{\n {2}"event": "echo",\n/.test(await pretty()));
  await ann.field("pretty-print").uncheck();

  await ann.field("heartbeats").uncheck();
  await until("no heartbeat is listed", async () => (await texts()).every((text) => !text.includes("heartbeat")));
  await ann.field("Filter").fill('"OK":true');
  await until("the reply alone is listed, whatever the case", async () => (await texts()).length === 1);
  await ann.field("in").uncheck();
  await until("nothing is listed", async () => (await texts()).length === 0);
  await ann.field("in").check();
  await ann.field("Filter").fill("");

  await ann.button("Pause").click();
  await ann.drawn();
  const before = await lines.count();
  await ann.ask("say", "{}");
  await ann.page.locator("#totals", { hasText: "came during the pause" }).waitFor();
  assert.equal(await lines.count(), before);
  await ann.button("Continue").click();
  await sent.filter({ hasText: '"say"' }).waitFor();
  await ann.button("Clear").click();
  await until("the list is empty", async () => (await sent.filter({ hasText: '"say"' }).count()) === 0);
  await ann.close();
});

test("another tab with the same id replaces the first, which shows that and does not reconnect", async () => {
  const first = await Playground.connected(browser, cluster.nodes[0], { id: "twin" });
  const second = await Playground.connected(browser, cluster.nodes[1], { id: "twin" });
  await first.page.locator("#events", { hasText: "closed: 4012 (the same id logged in elsewhere" }).waitFor({ timeout: WAIT_MS });
  await first.status("Not connected");
  await second.status("Connected to");
  await Promise.all([first.close(), second.close()]);
});

test("a link connects automatically to the ws-node of its page, but to another server only on request", async () => {
  const [here, elsewhere] = cluster.nodes;
  const own = await Playground.open(browser, here, { query: { node: here.ws, id: "linked", connect: "" } });
  await own.status(/Connected to .* as linked/);
  const foreign = await Playground.open(browser, here, { query: { node: elsewhere.ws, id: "lured", connect: "" } });
  assert.equal(await foreign.field("URL of the ws-node").inputValue(), elsewhere.ws);
  await foreign.drawn();
  await foreign.status("Not connected");
  await foreign.button("Connect").click();
  await foreign.status(/Connected to .* as lured/);
  await Promise.all([own.close(), foreign.close()]);
});
