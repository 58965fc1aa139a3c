// What only this SDK has: tokens, traces, a WebSocket that is passed in, mistakes of a page.
import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import ws from "ws";
import { Connector, RequestError } from "../.build/connector.js";
import { Clock } from "./support/clock.mjs";
import { Inbox, Server } from "./support/server.mjs";

const TIMEOUT = { timeout: 9000 };
let server, clock;
const clients = [];
beforeEach(async () => {
  clock = Clock.install();
  server = await Server.start();
});
afterEach(async () => {
  for (const client of clients.splice(0)) client.manualClose();
  await server.stop();
  clock.restore();
});

function start(options = {}) {
  const client = new Connector({ url: server.url, WebSocket: ws, pingInterval: 0, ...options });
  clients.push(client);
  return client;
}

function hear(client, ...events) {
  const heard = new Inbox();
  for (const event of events) client.on(event, (data) => heard.put(data));
  return heard;
}

test("the token provider is called before every attempt and the token travels in the query", TIMEOUT, async () => {
  let last = 0;
  const client = start({ token: async () => `t/${++last}`, customParams: { id: 7 } });
  const reconnects = hear(client, "reconnect");
  const peer = await server.accept();
  assert.equal(peer.path, "/chat?id=7&token=t%2F1");
  await client.opened();
  peer.drop();
  clock.tick((await reconnects.next()).timeout + 1);
  assert.equal((await server.accept()).path, "/chat?id=7&token=t%2F2");
});

test("with the token in the first message, open is fired after the server agreed and the rest waits", TIMEOUT, async () => {
  const client = start({ token: () => "abc", tokenIn: "message" });
  const waits = client.request("echo", 1, { retry: true });
  const peer = await server.accept();
  assert.equal(peer.path, "/chat");
  const { event, payload, callbackId } = await peer.json();
  assert.deepEqual([event, payload], ["authenticate", { token: "abc" }]);
  assert.equal(client.emit("early", 1), false);
  assert.equal(client.state, "connecting");
  peer.say({ payload: { ok: true }, callbackId });
  await client.opened();
  await peer.reply("hi");
  assert.equal(await waits, "hi");
});

test("after a refused token the client stays closed until the application connects again", TIMEOUT, async () => {
  const client = start({ token: () => "old", tokenIn: "message" });
  const closes = hear(client, "close");
  const peer = await server.accept();
  await peer.reply({ error: "the token is too old", errorCode: "NOT_ALLOWED" });
  const { code, reason, willReconnect } = await closes.next();
  assert.deepEqual([code, reason, willReconnect], [4011, "the token is too old", false]);
  await assert.rejects(client.opened(), RequestError);
  client.connect();
  await (await server.accept()).reply({ ok: true });
  await client.opened();
});

test("a token provider that throws or never answers makes the attempt fail", TIMEOUT, async () => {
  const answers = [() => Promise.reject(new Error("login is down")), () => new Promise(() => {}), () => null];
  const client = start({ token: () => answers.shift()() });
  const [errors, reconnects] = [hear(client, "error"), hear(client, "reconnect")];
  assert.equal((await errors.next()).message, "login is down");
  clock.tick((await reconnects.next()).timeout + 1);
  await Promise.resolve();
  clock.tick(10_000);
  assert.equal((await errors.next()).message, "no connection within 10000 ms");
  clock.tick((await reconnects.next()).timeout + 1);
  assert.equal((await server.accept()).path, "/chat");
});

test("a token that arrives after the client was closed opens no connection", TIMEOUT, async () => {
  let give;
  const client = start({ token: () => new Promise((resolve) => (give = resolve)) });
  await Promise.resolve();
  client.manualClose();
  give("late");
  const other = start();
  await server.accept();
  await other.opened();
  assert.equal(server.knocking, 0);
});

test("frames carry the trace context that the application gives", TIMEOUT, async () => {
  let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  const client = start({ traceparent: () => traceparent });
  const peer = await server.accept();
  await client.opened();
  client.emit("say", 1);
  assert.deepEqual(await peer.json(), { event: "say", payload: 1, traceparent });
  void client.request("ask", 2).catch(() => {});
  assert.equal((await peer.json()).traceparent, traceparent);
  traceparent = undefined;
  client.emit("say", 3);
  assert.equal(await peer.read(), '{"event":"say","payload":3}');
});

test("a server's request whose handler throws is answered with that error", TIMEOUT, async () => {
  const client = start();
  client.onRequest("a", () => {
    throw new Error("broken");
  });
  client.onRequest("b", async () => {
    throw { error: "not now", errorCode: "BUSY" };
  });
  const remove = client.onRequest("c", () => 1);
  remove();
  client.onRequest("d", () => 1n);
  const peer = await server.accept();
  await client.opened();
  const expected = {
    a: ["broken", "INTERNAL"],
    b: ["not now", "BUSY"],
    c: ["this client does not answer it", "UNKNOWN_EVENT"],
    d: ["Do not know how to serialize a BigInt", "INTERNAL"],
  };
  for (const [event, [error, errorCode]] of Object.entries(expected)) {
    peer.say({ event, payload: null, requestId: event });
    assert.deepEqual(await peer.json(), { payload: { error, errorCode }, requestId: event });
  }
});

test("an answer that is ready after a reconnect is not sent: the new server does not know the request", TIMEOUT, async () => {
  const client = start();
  let answer;
  const asked = new Promise((resolve) => client.onRequest("slow", () => (resolve(), new Promise((r) => (answer = r)))));
  const reconnects = hear(client, "reconnect");
  const peer = await server.accept();
  await client.opened();
  peer.say({ event: "slow", payload: null, requestId: "1" });
  await asked;
  peer.drop();
  clock.tick((await reconnects.next()).timeout + 1);
  const next = await server.accept();
  await client.opened();
  answer("late");
  await new Promise((resolve) => setImmediate(resolve));
  client.emit("mark", 1);
  assert.equal((await next.json()).event, "mark");
});

test("a pushed event cannot pretend that the connection closed; it reaches onAny only", TIMEOUT, async () => {
  const client = start();
  const [closes, all] = [hear(client, "close"), new Inbox()];
  client.onAny((event, payload) => all.put([event, payload]));
  const peer = await server.accept();
  await client.opened();
  peer.say({ event: "close", payload: { code: 4010 } });
  assert.deepEqual(await all.next(), ["close", { code: 4010 }]);
  assert.equal(closes.size, 0);
});

test("two hundred clients that lose their server at once reconnect spread over the whole wait", TIMEOUT, async () => {
  const waits = [];
  for (let i = 0; i < 200; i += 1) {
    start().on("reconnect", ({ timeout }) => waits.push(timeout));
    await server.refuse();
  }
  while (waits.length < 200) await new Promise((resolve) => setImmediate(resolve));
  const tenths = new Array(10).fill(0);
  for (const wait of waits) tenths[Math.floor(wait / 300)] += 1;
  // 20 are expected in each; more than 45 or none happen less than once in a hundred million runs.
  assert.ok(tenths.every((count) => count > 0 && count <= 45), `uneven: ${tenths}`);
});

test("a connection with too many waiting bytes refuses more frames", TIMEOUT, async () => {
  class Stuck extends ws {
    get bufferedAmount() {
      return 1001;
    }
  }
  const client = start({ WebSocket: Stuck, maxBuffered: 1000 });
  await server.accept();
  await client.opened();
  assert.equal(client.emit("a", 1), false);
  assert.equal((await client.emitWithPromise("a", 1)).errorCode, "WS_FULL");
});

test("a payload that cannot be JSON is an error of the call that sends it", TIMEOUT, async () => {
  const client = start();
  await server.accept();
  await client.opened();
  assert.throws(() => client.emit("a", 1n), TypeError);
  await assert.rejects(client.request("a", 1n), { errorCode: "BAD_PAYLOAD" });
  assert.equal((await client.emitWithPromise("", 1)).errorCode, "BAD_PAYLOAD");
  await assert.rejects(client.request("a", 1, { callbackTimeout: -1 }), TypeError);
});

test("a reply after the time limit is ignored", TIMEOUT, async (t) => {
  const noises = ["log", "warn", "error", "info", "debug"].map((name) => t.mock.method(console, name, () => {}));
  const client = start();
  const [heard, errors] = [new Inbox(), hear(client, "error", "close", "room-lost")];
  client.onAny((event) => heard.put(event));
  const peer = await server.accept();
  await client.opened();
  const late = client.request("slow", 1).catch(({ errorCode }) => errorCode);
  const { callbackId } = await peer.json();
  clock.tick(5000);
  assert.equal(await late, "CALLBACK_TIMEOUT");
  peer.say({ payload: { error: "no node is heard", errorCode: "UNAVAILABLE" }, callbackId });
  peer.say({ payload: 1, callbackId });
  peer.say({ event: "mark", payload: 1 });
  assert.equal(await heard.next(), "mark");
  assert.deepEqual([errors.size, noises.map((noise) => noise.mock.callCount())], [0, [0, 0, 0, 0, 0]]);
});

test("a listener that throws does not affect others, and a listener may close the client", TIMEOUT, async (t) => {
  const reported = t.mock.method(console, "error", () => {});
  const client = start();
  client.on("open", () => {
    throw new Error("mine");
  });
  const opens = hear(client, "open");
  client.on("state", (state) => state === "waiting" && client.manualClose());
  const peer = await server.accept();
  await opens.next();
  assert.equal(reported.mock.callCount(), 1);
  const reconnects = hear(client, "reconnect");
  const closes = hear(client, "close");
  peer.drop();
  await closes.next();
  assert.equal(client.state, "closed");
  clock.tick(200_000);
  assert.equal(reconnects.size + server.knocking, 0);
});

test("a decision that a listener makes during an error event is kept", TIMEOUT, async () => {
  const refused = start();
  refused.on("error", () => refused.manualClose());
  const never = hear(refused, "reconnect");
  await server.refuse();
  await assert.rejects(refused.opened());

  const lost = start();
  lost.on("pong-timeout", () => lost.manualClose());
  const peer = await server.accept();
  await lost.opened();
  lost.setPingInterval(1000, true);
  clock.tick(3000);
  assert.equal(await peer.read(), "");
  assert.deepEqual(await peer.closed(), [4001, "client manual close"]);

  const eager = start();
  eager.on("error", () => eager.reconnect());
  const reconnects = hear(eager, "reconnect");
  await server.refuse();
  const { repeat, timeout } = await reconnects.next();
  assert.equal(repeat, 1);
  clock.tick(timeout + 1);
  await server.accept();
  await eager.opened();
  clock.tick(200_000);
  assert.equal(never.size + reconnects.size + server.knocking, 0);
});

test("a WebSocket constructor that throws is reported to listeners, and the client tries again", TIMEOUT, async () => {
  let fails = true;
  class Blocked extends ws {
    constructor(...args) {
      if (fails) throw new Error("the page may not connect there");
      super(...args);
    }
  }
  const client = start({ WebSocket: Blocked });
  const [errors, reconnects] = [hear(client, "error"), hear(client, "reconnect")];
  assert.equal((await errors.next()).message, "the page may not connect there");
  fails = false;
  clock.tick((await reconnects.next()).timeout + 1);
  await server.accept();
  await client.opened();
});

test("the first heartbeat comes after a random part of the interval", TIMEOUT, async () => {
  clock.restore();
  clock = Clock.install(0.25);
  const client = start({ pingInterval: 10_000 });
  const peer = await server.accept();
  await client.opened();
  clock.tick(2499);
  client.emit("mark", 1);
  assert.equal((await peer.json()).event, "mark");
  clock.tick(1);
  assert.equal(await peer.read(), "");
  assert.equal(client.getPingInterval(), 10_000);
});

test("subprotocols and parameters reach the server", TIMEOUT, async () => {
  const client = start({
    url: `${server.url}?a=1#part`,
    protocols: ["v1"],
    customParams: { "k!": "it's (ü) *~", none: undefined },
  });
  const peer = await server.accept();
  assert.equal(peer.path, `/chat?a=1&${new URLSearchParams({ "k!": "it's (ü) *~" })}`);
  await client.opened();
});

test("rooms are joined again and the token is sent, however many requests wait", TIMEOUT, async () => {
  const client = start({ maxPending: 1, token: () => "t", tokenIn: "message" });
  const yes = async (peer, expected) => {
    const { event, callbackId } = await peer.json();
    assert.equal(event, expected);
    peer.say({ payload: { ok: true }, callbackId });
  };
  let peer = await server.accept();
  await yes(peer, "authenticate");
  await client.opened();
  for (const room of ["a", "b"]) {
    const joined = client.joinRoom(room);
    await yes(peer, "joinRoom");
    await joined;
  }
  const lost = hear(client, "room-lost");
  const waiting = client.request("slow", 1, { retry: true, callbackTimeout: 60_000 }).catch(({ errorCode }) => errorCode);
  assert.equal((await peer.json()).event, "slow");
  const reconnects = hear(client, "reconnect");
  peer.drop();
  clock.tick((await reconnects.next()).timeout);
  peer = await server.accept();
  for (const event of ["authenticate", "joinRoom", "joinRoom"]) await yes(peer, event);
  assert.equal((await peer.json()).event, "slow");
  assert.equal(lost.size, 0);
  client.manualClose();
  assert.equal(await waiting, "WS_DISCONNECTED");
});

test("kept events are all sent, even if they exceed what the WebSocket may hold", TIMEOUT, async () => {
  const client = start({ offlineQueue: 10, maxBuffered: 100 });
  const filling = "x".repeat(100_000);
  for (let n = 0; n < 10; n += 1) assert.ok(client.emit("kept", { n, filling }));
  const peer = await server.accept();
  for (let n = 0; n < 10; n += 1) assert.equal((await peer.json()).payload.n, n);
});

test("opened() resolves even if all listeners of the state are removed", TIMEOUT, async () => {
  const client = start();
  const opened = client.opened();
  client.off("state");
  await server.accept();
  await opened;
});

test("several URLs may be given as URL objects or text, and parameters and token go to each", TIMEOUT, async () => {
  const other = await Server.start();
  try {
    const urls = [new URL(server.url), `${other.url}?a=1`];
    const client = start({ url: urls, customParams: { id: 7 }, token: () => "t" });
    const reconnects = hear(client, "reconnect");
    assert.equal(client.url, server.url);
    const peer = await server.accept();
    assert.equal(peer.path, "/chat?id=7&token=t");
    await client.opened();
    urls.length = 0; // It is the application's; the client has a copy.
    peer.socket.close(1012, "retry-after-ms=60000");
    const { timeout } = await reconnects.next();
    assert.ok(timeout < 3000, `${timeout} ms`);
    assert.equal(client.url, `${other.url}?a=1`);
    clock.tick(timeout + 1);
    assert.equal((await other.accept()).path, "/chat?a=1&id=7&token=t");
  } finally {
    await other.stop();
  }
});
