// The same auction in every language, run for real: twenty clients on two ws-nodes bid at the same time. What each program says
// about the bids that it saw is what the clients' replies and pushes are compared with.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { Bidder } from "./bidder.mjs";
import { Program, freePort, startCluster, startStandalone, until } from "../support/cluster.mjs";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const programs = resolve(process.env.WSMESH_PROGRAMS ?? here("../../target/debug"));
const folder = mkdtempSync(join(tmpdir(), "auction-"));
process.on("exit", () => rmSync(folder, { recursive: true }));

const CLIENTS = 20;
const BIDS = 10;

/** How each program is started. `tool` is what a machine may lack; what must be built first, `build` builds. */
const LANGUAGES = {
  python: { tool: "python3", start: () => ["python3", here("python/auction.py")] },
  node: { tool: "node", start: () => ["node", here("node/auction.mjs")] },
  go: { tool: "go", start: () => [build("go", "build", "-o", join(folder, "auction"), here("go/auction.go"))] },
  rust: { tool: "cargo", settings: "rust/auction.toml", start: () => [join(programs, "auction-service")] },
};

for (const [name, language] of Object.entries(LANGUAGES)) {
  const skip = missing(language.tool) && `${language.tool} is not installed`;
  test(`in ${name} the highest bid wins once, and everyone hears of each price once and in order`, { skip }, () =>
    withAuction(language, (settings) => startCluster({ flags: [`--config=${settings}`], services: ["admin"] })));
}

test("with `make run` it is the same", () =>
  withAuction(LANGUAGES.node, (settings) => startStandalone(`--ws-node-config=${settings}`)));

function missing(tool) {
  return spawnSync(tool, ["--help"]).error !== undefined;
}

/** Runs a compiler; returns the program that it made. */
function build(compiler, ...args) {
  const { status, stderr } = spawnSync(compiler, args, { encoding: "utf8", env: { ...process.env, GOTOOLCHAIN: "local" } });
  assert.equal(status, 0, stderr);
  return join(folder, "auction");
}

/** The settings that the documents show, with another port. Patient, as the machine that tests may be busy. */
function settingsOf(file, port) {
  const text = readFileSync(here(file), "utf8").replace("127.0.0.1:8080", `127.0.0.1:${port}`);
  const path = join(folder, "auction.toml");
  writeFileSync(path, `${text}timeout_ms = 30000\n`);
  return path;
}

async function withAuction({ settings = "auction.toml", start }, servers) {
  const port = await freePort();
  const cluster = await servers(settingsOf(settings, port));
  const [command, ...args] = start();
  const admin = cluster.admin?.replace(/\/$/, "");
  const program = new Program(command, args, { PORT: `${port}`, ADMIN_URL: admin, REDIS_URL: cluster.redis ?? "" });
  const bidders = [];
  try {
    await program.says("the auction is open");
    for (let i = 0; i < CLIENTS; i++) bidders.push(await Bidder.connect(cluster.nodes[i % 2].ws, `bidder-${i}`));
    await takesBids(bidders);
    const outcomes = await everyoneBids(bidders);
    const bids = await bidsSeenBy(program, outcomes);
    const accepted = replay(bids, outcomes, bidders);
    await everyoneHeard(admin, bidders, accepted);
    assert.equal(bidsIn(program.log).length, bids.length, "no bid reached the auction later");
  } catch (error) {
    throw new Error(`${error.message}\n${program.log}`, { cause: error });
  } finally {
    bidders.forEach((bidder) => bidder.leave());
    await program.stop("SIGKILL");
    await cluster.stop();
  }
}

/** A bid without a price is refused with the program's own words, once every ws-node reaches it. */
async function takesBids(bidders) {
  for (const bidder of bidders.slice(0, 2)) {
    const refused = await until("the auction answers", async () => {
      const outcome = await bidder.bid("much");
      return outcome.code !== "UNAVAILABLE" && outcome;
    });
    assert.deepEqual(refused, { code: "BAD_PAYLOAD", text: 'a bid is {"price": WHOLE NUMBER}' });
  }
}

/** Each client sends different prices without waiting, low and high ones mixed; then all send the same highest one. */
async function everyoneBids(bidders) {
  const highest = CLIENTS * BIDS;
  const outcomes = bidders.map((bidder, i) => {
    // 7 and 200 have no common divisor: every price once, in an order that neither rises nor falls.
    const prices = Array.from({ length: BIDS }, (_, k) => ((i * BIDS + k) * 7) % highest + 1);
    return [...prices, highest + 1].map((price) => bidder.bid(price).then((outcome) => ({ price, ...outcome })));
  });
  return Promise.all(outcomes.map((ofOne) => Promise.all(ofOne)));
}

const bidsIn = (log) => [...log.matchAll(/^bid (\S+) (\d+)$/gm)].map(([, client, price]) => ({ client, price: Number(price) }));

/** The bids that the program wrote down. Its pipe may be read after the replies that it sent later: this waits for all of them. */
async function bidsSeenBy(program, outcomes) {
  const unanswered = outcomes.flat().filter(({ reply, code }) => !reply && code !== "CONFLICT");
  assert.deepEqual(unanswered, [], "every bid was answered by the auction");
  const expected = CLIENTS * (BIDS + 1);
  await until("every bid is in the log", () => bidsIn(program.log).length >= expected).catch(() => {});
  const bids = bidsIn(program.log);
  assert.equal(bids.length, expected, "every bid reached the auction once");
  return bids;
}

/** Bids again in the order that the program saw: the replies must be those. Returns the prices that were accepted. */
function replay(seen, outcomes, bidders) {
  const accepted = [];
  const expected = new Map(bidders.map(({ name }) => [name, []]));
  for (const { client, price } of seen) {
    const highest = accepted.at(-1) ?? 0;
    if (price > highest) accepted.push(price);
    const reply = price > highest ? { reply: { ok: true, price } } : { code: "CONFLICT", text: `the highest bid is ${highest}` };
    expected.get(client).push({ price, ...reply });
  }
  // Equal lists also say that the bids of one client arrived in the order in which it sent them.
  bidders.forEach(({ name }, i) => assert.deepEqual(outcomes[i], expected.get(name), name));
  const won = outcomes.flat().filter(({ reply, price }) => reply && price === CLIENTS * BIDS + 1);
  assert.equal(won.length, 1, "the highest bid won once");
  return accepted;
}

/** Everyone in the room heard of each accepted price, once and in order: up to an event that is published after all of them. */
async function everyoneHeard(admin, bidders, accepted) {
  const answer = await fetch(`${admin}/api/v1/rooms/auction/7/messages`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ event: "closed" }),
  });
  assert.equal(answer.status, 202, await answer.text());
  for (const bidder of bidders) assert.deepEqual(await bidder.heard(accepted.length), accepted, bidder.name);
}
