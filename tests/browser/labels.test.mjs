// Names on the playing field: each is beside its runner, complete, and covers no other, wherever players meet.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { after, before, test } from "node:test";
import { labels } from "../../services/ws-node/assets/playground/labels.js";
import { Playground, launch } from "./support/browser.mjs";
import { startCluster } from "../support/cluster.mjs";

const SIZE = 400;
const overlap = (a, b) => Math.abs(a.x - b.x) < (a.width + b.width) / 2 && Math.abs(a.y - b.y) < (a.height + b.height) / 2;
const runner = (id, x, y, width = 60) => ({ id, x, y, radius: 14, width, height: 15 });

/** Checks that no name leaves the picture or covers another. */
function assertReadable(boxes, size, what) {
  for (const [i, box] of boxes.entries()) {
    assert.ok(box.x - box.width / 2 >= -0.5 && box.x + box.width / 2 <= size + 0.5, `${what}: ${i} is whole`);
    assert.ok(box.y - box.height / 2 >= -0.5 && box.y + box.height / 2 <= size + 0.5, `${what}: ${i} is whole`);
    for (const other of boxes.slice(0, i)) assert.ok(!overlap(box, other), `${what}: ${i} is over another`);
  }
}

test("names of four players never cover each other, wherever they meet", () => {
  const corners = [0.03, 0.5, 0.97].map((share) => share * SIZE);
  for (const x of corners) {
    for (const y of corners) {
      for (const apart of [0, 3, 10, 25]) {
        const inside = (at) => Math.min(SIZE, Math.max(0, at));
        const runners = ["you", "player-1234", "player-5678", "a-player-with-a-name"].map((id, i) =>
          runner(id, inside(x + apart * (i % 2)), inside(y + apart * (i >> 1)), 20 + 30 * i));
        assertReadable(labels(runners, SIZE, new Map()), SIZE, `at ${x}, ${y}, ${apart} apart`);
      }
    }
  }
});

test("a name that had to move stays there while players pass, and moves back when there is room", () => {
  const sides = new Map();
  const seen = [];
  // Bob walks past Ann from left to right, trembling.
  for (let step = 0; step <= 200; step += 1) {
    const x = 100 + step + (step % 2);
    const boxes = labels([runner("ann", 200, 200), runner("bob", x, 200)], SIZE, sides);
    assertReadable(boxes, SIZE, `step ${step}`);
    if (seen.at(-1) !== sides.get("bob")) seen.push(sides.get("bob"));
  }
  assert.equal(seen[0], 0, "above at first");
  assert.equal(seen.at(-1), 0, "and in the end");
  assert.ok(seen.length <= 5, `it jumps: ${seen}`);
});

let browser;
let cluster;
before(async () => {
  [browser, cluster] = await Promise.all([launch(), startCluster()]);
});
after(async () => {
  await browser?.close();
  await cluster?.stop();
});

/** A tab in a match whose players are where the test puts them: the test plays the server. */
async function staged(colorScheme) {
  const playground = await Playground.open(browser, cluster.nodes[0], { id: "ann", colorScheme });
  const { page } = playground;
  let socket;
  await page.routeWebSocket(/^ws:/, (route) => {
    socket = route;
    route.onMessage((text) => {
      const { callbackId } = text ? JSON.parse(text) : {};
      if (callbackId) route.send(JSON.stringify({ payload: { ok: true }, callbackId }));
      if (text === "") route.send("");
    });
  });
  await page.addInitScript(() => {
    globalThis.written = [];
    const { fillText } = CanvasRenderingContext2D.prototype;
    CanvasRenderingContext2D.prototype.fillText = function (text, x, y) {
      if (this.canvas.id === "field") globalThis.written.push({ text, x, y, width: this.measureText(text).width, height: 12 });
      return fillText.call(this, text, x, y);
    };
  });
  await page.reload();
  await playground.field("Client id").fill("ann");
  await playground.button("Connect").click();
  await playground.status("Connected to");
  const say = (event, payload) => socket.send(JSON.stringify({ event, payload }));
  say("matchFound", { match: "m", players: ["ann", "bob", "player-5678", "player-1234"] });
  await page.locator("#game-notice", { hasText: "You play against" }).waitFor();
  /** Draws the players at these places; returns the names as they were drawn. */
  let points = 0;
  playground.draw = async (places) => {
    // Twice: the page draws positions between two states.
    for (const _ of [1, 2]) {
      points += 1;
      const players = ["ann", "bob", "player-5678", "player-1234"].slice(0, places.length).map((id, i) => ({ id, x: places[i][0], y: places[i][1], points }));
      say("matchState", { match: "m", state: { field: 1000, goal: 99, targets: [{ x: 300, y: 700 }], players } });
    }
    await page.locator("#scores li", { hasText: `${points} of 99` }).nth(places.length - 1).waitFor();
    await playground.drawn();
    return page.evaluate((count) => globalThis.written.slice(-count), places.length);
  };
  return playground;
}

for (const colorScheme of ["light", "dark"]) {
  test(`names can be read where players meet, in the page: ${colorScheme}`, { timeout: 60_000 }, async () => {
    const ann = await staged(colorScheme);
    const field = ann.page.locator("#field");
    const { width } = await field.boundingBox();
    const meetings = {
      middle: [[500, 500], [500, 500]],
      near: [[500, 500], [540, 510]],
      "left edge": [[0, 500], [10, 520]],
      corner: [[0, 0], [0, 0]],
      "other corner": [[1000, 1000], [990, 1000]],
      four: [[500, 500], [520, 500], [500, 520], [520, 520]],
      "four in a corner": [[1000, 0], [1000, 0], [1000, 0], [1000, 0]],
    };
    for (const [what, places] of Object.entries(meetings)) {
      const names = await ann.draw(places);
      assert.deepEqual(names.map(({ text }) => text).sort(), ["bob", "player-1234", "player-5678", "you"].filter((name) => ["you", "bob"].includes(name) || places.length > 2), what);
      assertReadable(names, width, what);
      if (process.env.WSMESH_PICTURES) {
        mkdirSync(process.env.WSMESH_PICTURES, { recursive: true });
        await field.screenshot({ path: `${process.env.WSMESH_PICTURES}/${colorScheme}-${what.replaceAll(" ", "-")}.png` });
      }
    }
    await ann.close();
  });
}
