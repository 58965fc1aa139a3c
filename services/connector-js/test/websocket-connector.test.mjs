// The client of websocket-cross-server-adapter under its own name: where Connector differs, it behaves like that package.
import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import ws from "ws";
import { WebSocketConnector } from "../.build/connector.js";
import { Clock } from "./support/clock.mjs";
import { Inbox, Server } from "./support/server.mjs";

let server, clock, client, seen;
beforeEach(async () => {
  clock = Clock.install(0.5);
  server = await Server.start();
  client = new WebSocketConnector({ url: server.url, WebSocket: ws });
  seen = new Inbox();
  client.setPingInterval(2 ** 31 - 1);
  for (const event of ["open", "close", "error", "reconnect", "repeat-limit", "pong-timeout"]) {
    client.on(event, (data) => seen.put([event, data]));
  }
});
afterEach(async () => {
  client.manualClose();
  await server.stop();
  clock.restore();
});

const next = async () => (await seen.next())[0];
const connected = async () => {
  const peer = await server.accept();
  assert.equal(await next(), "open");
  return peer;
};

test("after an error it reconnects automatically, and close is not fired", { timeout: 9000 }, async () => {
  await server.refuse();
  assert.equal(await next(), "error");
  assert.deepEqual(await seen.next(), ["reconnect", { repeat: 1, timeout: 1500 }]);
  clock.tick(1500);
  await connected();
  assert.equal(client.reconnecting(), false);
});

test("after a close it waits for the application to call reconnect", { timeout: 9000 }, async () => {
  const peer = await connected();
  peer.socket.close(4000, "bye");
  const [event, { code, reason, willReconnect }] = await seen.next();
  assert.deepEqual([event, code, reason, willReconnect], ["close", 4000, "bye", false]);
  clock.tick(200_000);
  assert.equal(seen.size + server.knocking, 0);
  client.reconnect();
  assert.deepEqual(await seen.next(), ["reconnect", { repeat: 1, timeout: 1500 }]);
  clock.tick(1500);
  await connected();
});

test("an application that calls reconnect in its close listener gets one attempt, after the delay of the server", { timeout: 9000 }, async () => {
  const peer = await connected();
  client.on("close", ({ code }) => {
    if (code !== 4010) client.reconnect();
  });
  peer.socket.close(1012, "retry-after-ms=4000");
  assert.equal(await next(), "close");
  assert.deepEqual(await seen.next(), ["reconnect", { repeat: 1, timeout: 4500 }]);
  clock.tick(4500);
  await connected();
  assert.equal(seen.size + server.knocking, 0);
});

test("a lost heartbeat fires pong-timeout and close 4002, and the application decides", { timeout: 9000 }, async () => {
  const peer = await connected();
  client.setPingInterval(10_000, true);
  clock.tick(10_000);
  assert.equal(await peer.read(), "");
  clock.tick(2000);
  assert.equal(await next(), "pong-timeout");
  const [event, { code, reason }] = await seen.next();
  assert.deepEqual([event, code, reason], ["close", 4002, "pong timeout"]);
  assert.deepEqual(await peer.closed(), [4002, "pong timeout"]);
  clock.tick(200_000);
  assert.equal(seen.size + server.knocking, 0);
});

test("the limit of attempts is reported to the application", { timeout: 9000 }, async () => {
  client.manualClose();
  await server.refuse();
  client = new WebSocketConnector({ url: server.url, WebSocket: ws, repeatLimit: 1 });
  client.on("reconnect", () => clock.tick(1500));
  client.on("repeat-limit", (limit) => seen.put(["limit", limit]));
  await server.refuse();
  await server.refuse();
  assert.deepEqual(await seen.next(), ["limit", 1]);
});

test("an error reply is an ordinary payload", { timeout: 9000 }, async () => {
  const peer = await connected();
  const payload = { error: "no", errorCode: "NOT_ALLOWED" };
  const replied = new Promise((resolve) => client.emit("say", 1, (...args) => resolve(args)));
  await peer.reply(payload);
  assert.deepEqual(await replied, [null, payload]);
  const promised = client.emitWithPromise("say", 1);
  await peer.reply(payload);
  assert.deepEqual(await promised, { success: true, data: payload });
});

test("a refused token or room is an error here, too", { timeout: 9000 }, async () => {
  const peer = await connected();
  const joining = client.joinRoom("a");
  const { callbackId } = await peer.json();
  peer.say({ payload: { error: "no", errorCode: "NOT_ALLOWED" }, callbackId });
  await assert.rejects(joining, { errorCode: "NOT_ALLOWED" });

  const other = new WebSocketConnector({ url: server.url, WebSocket: ws, token: () => "t", tokenIn: "message" });
  const closed = new Promise((resolve) => other.on("close", resolve));
  other.on("open", () => assert.fail("the server said no"));
  const gate = await server.accept();
  const asked = await gate.json();
  gate.say({ payload: { error: "no", errorCode: "NOT_ALLOWED" }, callbackId: asked.callbackId });
  assert.equal((await closed).code, 4011);
});

test("a request on a connection that broke waits for its time limit", { timeout: 9000 }, async () => {
  const peer = await connected();
  let ended = false;
  const promised = client.emitWithPromise("say", 1, { callbackTimeout: 7000 }).finally(() => (ended = true));
  peer.drop();
  assert.equal(await next(), "close");
  assert.equal(ended, false);
  clock.tick(7000);
  const { success, errorCode } = await promised;
  assert.deepEqual([success, errorCode], [false, "CALLBACK_TIMEOUT"]);
});

test("without a connection the callback gets an error at once, and null or undefined data is an error", { timeout: 9000 }, async () => {
  const errors = [];
  client.emit("say", 1, (error, data) => errors.push(error.errorCode, data));
  assert.deepEqual(errors, ["WS_NOT_OPEN", null]);
  assert.equal((await client.emitWithPromise("say", 1)).errorCode, "WS_NOT_OPEN");
  assert.throws(() => client.emit("", 1), TypeError);
  assert.throws(() => client.emit("say", null), /null/);
  assert.equal((await client.emitWithPromise("say")).success, false);
  assert.throws(() => client.setPingInterval(0), TypeError);
});

test("manualClose is final", { timeout: 9000 }, async () => {
  const peer = await connected();
  client.manualClose();
  assert.deepEqual(await peer.closed(), [4001, "client manual close"]);
  client.reconnect(true);
  assert.equal(client.state, "closed");
  assert.equal(seen.size, 0);
});

test("a pushed event with the name of a system event reaches its listeners", { timeout: 9000 }, async () => {
  const peer = await connected();
  const pushed = new Promise((resolve) => client.on("message", (data) => typeof data === "object" && resolve(data)));
  peer.say({ event: "message", payload: { text: "hi" } });
  assert.deepEqual(await pushed, { text: "hi" });
});

test("an unknown option is accepted with a warning on the console", { timeout: 9000 }, async (t) => {
  const warned = t.mock.method(console, "warn", () => {});
  await connected();
  const lax = new WebSocketConnector({ url: server.url, WebSocket: ws, autoReconect: true });
  try {
    const peer = await server.accept();
    await lax.opened();
    const reply = lax.emitWithPromise("a", 1, { timeout: 5 });
    await peer.reply(2);
    assert.deepEqual(await reply, { success: true, data: 2 });
    const told = warned.mock.calls.map(({ arguments: [text] }) => text.split(":")[0]);
    assert.deepEqual(told, ["unknown option autoReconect", "unknown option timeout"]);
  } finally {
    lax.manualClose();
  }
});
