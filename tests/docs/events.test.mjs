// services/ws-node/EVENTS.md: its examples are what its schemas say, it has the types that the code has, and real ws-nodes send
// what it says, to a backend that writes everything down.
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { parse, root } from "./blocks.mjs";
import { Schemas } from "./schemas.mjs";
import { Wire } from "./wire.mjs";
import { startCluster, until } from "../support/cluster.mjs";

const PAGE = "services/ws-node/EVENTS.md";
const read = (path) => readFileSync(join(root, path), "utf8");
const BATCH = "application/cloudevents-batch+json";
/** What every event has, whichever mode it is sent in. */
const ATTRIBUTES = {
  type: "object", required: ["specversion", "id", "source", "type", "time"],
  properties: {
    specversion: { const: "1.0" }, id: { type: "string", minLength: 1 }, time: { type: "string", format: "date-time" },
    source: { type: "string", pattern: "^/ws-node/." }, subject: { type: "string", minLength: 1 },
  },
};

/** By type: its blocks of JSON, its example as a request if it has one, and the headers that it lists. */
const types = Object.fromEntries(read(PAGE).split(/^## /m).slice(1).filter((part) => part.startsWith("`io.")).map((part) => {
  const blocks = parse(PAGE, part);
  const json = blocks.filter(({ language }) => language === "json").map(({ text }) => JSON.parse(text));
  const request = blocks.find(({ language }) => language === "text")?.text;
  const headers = [...part.matchAll(/^\| (`.*?`) \|/gm)].flatMap(([, names]) => names.split(", ").map((name) => name.replaceAll("`", "")));
  return [/^`(.*)`/.exec(part)[1], { json, request, headers }];
}));
const schemas = new Schemas({ attributes: ATTRIBUTES, ...Object.fromEntries(Object.entries(types).map(([type, { json }]) => [type, json[0]])), answer: types["io.wsmesh.client.connect"].json[1] });
const common = [...read(PAGE).matchAll(/^\| `\w+` \| `(.*?)` \|/gm)].map(([, header]) => header);

/** Checks one event: attributes, data and, in the binary mode, that each `ce-` header is listed. */
function check({ data, headers = {}, ...attributes }) {
  assert.ok(types[attributes.type], `${attributes.type} is not on the page`);
  assert.equal(schemas.problem("/attributes", attributes), undefined);
  assert.equal(schemas.problem(`/${attributes.type}`, data), undefined, attributes.type);
  const known = [...common, ...types[attributes.type].headers];
  assert.deepEqual(Object.keys(headers).filter((name) => name.startsWith("ce-") && !known.includes(name)), []);
}

/** The event in a request: one in the binary mode, or those of a batch. */
function eventsOf(headers, body) {
  if (headers["content-type"] === BATCH) return JSON.parse(body);
  const attributes = Object.entries(headers).filter(([name]) => name.startsWith("ce-")).map(([name, value]) => [name.slice(3), value]);
  return [{ ...Object.fromEntries(attributes), headers, data: JSON.parse(body) }];
}

test("every example on the page is what its schema says", () => {
  for (const [type, { json, request }] of Object.entries(types)) {
    if (request) {
      const [head, body] = request.split("\n\n");
      const headers = Object.fromEntries(head.split("\n").slice(1).map((line) => line.split(": ")));
      const [event] = eventsOf(headers, body);
      assert.equal(event.type, type);
      check(event);
    } else {
      assert.equal(json[1].type, type);
      check(json[1]);
    }
  }
  const [, , answer] = types["io.wsmesh.client.connect"].json;
  assert.equal(schemas.problem("/answer", answer), undefined);
});

test("the page has the types and server events that the code has", () => {
  const sources = (folder) => readdirSync(join(root, folder), { recursive: true }).filter((name) => name.endsWith(".rs"))
    .map((name) => read(join(folder, name))).join("\n");
  const inCode = new Set([...sources("services/ws-node/src").matchAll(/"(io\.wsmesh\.[a-z.]+)"/g)].map(([, type]) => type));
  assert.deepEqual(new Set(Object.keys(types)), inCode);
  const forward = read("services/protocol/src/forward.rs");
  const said = [...read(PAGE).matchAll(/`(wsmesh\.\w+)` \|$/gm)].map(([, event]) => event);
  assert.ok(said.length >= 5 && said.every((event) => forward.includes(`"${event}"`)), said.join());
});

/** A backend that lets everyone in as 888, answers everything and writes it down. */
class Backend {
  events = [];

  static async start() {
    const backend = new Backend();
    backend.server = createServer((request, response) => backend.#answer(request, response));
    await new Promise((listens) => backend.server.listen(0, "127.0.0.1", listens));
    return backend;
  }

  settings() {
    const url = `http://127.0.0.1:${this.server.address().port}`;
    return `login_policy = "many"\nclient_rooms = ["chat"]\n[[rules]]\nevent = "placeBid"\nurl = "${url}/bids"\n[connect]\nurl = "${url}/connect"\nheaders = ["user-agent"]
[[watch]]\nurl = "${url}/watch"\nevents = ["connected", "disconnected", "joined", "left"]\n`;
  }

  async #answer(request, response) {
    let body = "";
    for await (const part of request.setEncoding("utf8")) body += part;
    this.events.push(...eventsOf(request.headers, body));
    response.end(request.url === "/connect" ? JSON.stringify({ client: "888", data: { team: "red" }, joinRooms: ["chat:lobby"] }) : "");
  }

  stop() {
    this.server.closeAllConnections();
    this.server.close();
  }
}

let backend, cluster, folder;
before(async () => {
  folder = mkdtempSync(join(tmpdir(), "events-"));
  backend = await Backend.start();
  const file = join(folder, "ws-node.toml");
  writeFileSync(file, backend.settings());
  cluster = await startCluster({ flags: [`--config=${file}`], services: [] });
});
after(async () => {
  await cluster?.stop();
  backend?.stop();
  rmSync(folder, { recursive: true });
});

test("real ws-nodes send what the page says, of every type", async () => {
  const [first, second] = cluster.nodes;
  const wire = await Wire.connect(`${first.ws}/chat?lang=en&lang=de`);
  await wire.request({ event: "placeBid", payload: { price: 12 }, callbackId: "1", idempotencyKey: "bid \"1\"" });
  await wire.request({ event: "leaveRoom", payload: { roomId: "lobby" }, callbackId: "2" });
  const stays = await Wire.connect(`${second.ws}/`);
  const dies = await Wire.connect(`${first.ws}/`);
  wire.leave();
  const seen = (type) => until(`${type} is sent`, () => backend.events.some((event) => event.type === type));
  await seen("io.wsmesh.client.disconnected");
  await first.stop("SIGKILL");
  for (const type of Object.keys(types)) await seen(type);
  for (const event of backend.events) check(event);
  const [bid] = backend.events.filter(({ type }) => type === "io.wsmesh.client.event");
  assert.deepEqual([bid.subject, bid.data, bid.headers["ce-client"], bid.headers["ce-data"]], ["placeBid", { price: 12 }, "888", "{%22team%22:%22red%22}"]);
  stays.leave();
  dies.leave();
});
