// The option `traceparent`: what the table of all SDKs cannot say, because it is about JavaScript.
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import ws from "ws";
import { Connector, WebSocketConnector } from "../.build/connector.js";
import { Clock } from "./support/clock.mjs";
import { Server } from "./support/server.mjs";

const TIMEOUT = { timeout: 9000 };
const CONTEXT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
let server;
let client;
before(async () => (server = await Server.start()));
afterEach(() => client.manualClose());
after(() => server.stop());

/** An open client with this hook. */
async function open(traceparent, { Client = Connector, ...options } = {}) {
  client = new Client({ url: server.url, WebSocket: ws, pingInterval: 0, traceparent, ...options });
  const peer = await server.accept();
  await client.opened();
  return peer;
}

/** Runs `action` and returns what it writes to the console as errors. */
async function complaints(action) {
  const { error } = console;
  const said = [];
  console.error = (...args) => said.push(args.join(" "));
  try {
    await action();
  } finally {
    console.error = error;
  }
  return said;
}

test("what a hook returns that is no trace context is left out of the frame, and changes nothing", TIMEOUT, async () => {
  const circle = {};
  circle.traceparent = circle;
  const hostile = { get traceparent() { throw new Error("mine"); } };
  const garbage = [
    undefined, null, 0, 5, 1n, true, "", "hello", `${CONTEXT}0`, `\n${CONTEXT}`, {}, [], Symbol("x"), () => CONTEXT, circle, hostile,
    Object.create(null), Promise.resolve(CONTEXT), { traceparent: 5 }, { traceparent: null }, { traceparent: { toJSON: () => 1n } }, { end: 5 },
  ];
  let returned;
  const peer = await open(() => returned);
  await complaints(async () => {
    for (returned of garbage) {
      assert.equal(client.emit("say", 1), true);
      assert.equal(await peer.read(), '{"event":"say","payload":1}');
      const reply = client.request("ask", 2);
      const { callbackId, ...rest } = await peer.json();
      assert.deepEqual(rest, { event: "ask", payload: 2 });
      peer.say({ payload: 3, callbackId });
      assert.equal(await reply, 3);
    }
  });
});

test("a hook that throws and an end that throws are reported, and change nothing", TIMEOUT, async () => {
  const fails = () => {
    throw new Error("broken");
  };
  let hook = fails;
  const peer = await open((event) => hook(event));
  const said = await complaints(async () => {
    for (hook of [fails, () => ({ traceparent: CONTEXT, end: fails })]) {
      const reply = client.request("ask", 1);
      await peer.reply(2);
      assert.equal(await reply, 2);
      assert.equal(client.emit("say", 1), true);
      await peer.read();
    }
  });
  assert.deepEqual(said, Array(4).fill("traceparent failed: Error: broken"));
});

test("an end is called with its object as this", TIMEOUT, async () => {
  class Span {
    traceparent = CONTEXT;
    ended = [];
    end(error) {
      this.ended.push(error);
    }
  }
  const spans = [];
  const peer = await open(() => spans[spans.push(new Span()) - 1]);
  client.emit("say");
  await peer.read();
  assert.deepEqual(spans.map(({ ended }) => ended), [[undefined]]);
});

test("a payload that cannot be JSON begins no trace", TIMEOUT, async () => {
  const begun = [];
  await open((event) => void begun.push(event));
  assert.throws(() => client.emit("say", 1n), TypeError);
  await assert.rejects(client.request("ask", 1n), { errorCode: "BAD_PAYLOAD" });
  await assert.rejects(client.request("ask", 1, { callbackTimeout: -1 }), TypeError);
  assert.deepEqual(begun, []);
});

test("the time that a slow hook takes is not part of a request's time limit", TIMEOUT, async () => {
  let clock;
  const ended = [];
  const peer = await open(() => {
    clock.tick(60_000);
    return { traceparent: CONTEXT, end: (error) => ended.push(error) };
  });
  clock = Clock.install();
  try {
    const reply = client.request("ask", 1);
    clock.tick(4999);
    assert.deepEqual(ended, []);
    await peer.reply(2);
    assert.equal(await reply, 2);
    clock.tick(60_000);
    assert.deepEqual(ended, [undefined]);
  } finally {
    clock.restore();
  }
});

test("a hook that closes the connection ends its own trace once, with an error", TIMEOUT, async () => {
  const ended = [];
  await open((event) => {
    client.manualClose();
    return { traceparent: CONTEXT, end: (error) => ended.push([event, error]) };
  });
  assert.equal(client.emit("say", 1), false);
  assert.deepEqual(ended, [["say", "WS_NOT_OPEN"]]);
});

test("what the WebSocket has no room for ends its trace with WS_FULL", TIMEOUT, async () => {
  class Slow extends ws {
    get bufferedAmount() {
      return 2_000_000;
    }
  }
  const ended = [];
  await open((event) => ({ traceparent: CONTEXT, end: (error) => ended.push([event, error]) }), { WebSocket: Slow });
  assert.equal(client.emit("say", 1), false);
  await assert.rejects(client.request("ask", 1), { errorCode: "WS_FULL" });
  assert.deepEqual(ended, [["say", "WS_FULL"], ["ask", "WS_FULL"]]);
});

test("a refusal ends the trace of WebSocketConnector with its code, though the application gets it as a payload", TIMEOUT, async () => {
  const ended = [];
  const peer = await open((event) => ({ traceparent: CONTEXT, end: (error) => ended.push([event, error]) }), { Client: WebSocketConnector });
  const result = client.emitWithPromise("ask", 1);
  await peer.reply({ error: "no", errorCode: "NOT_ALLOWED" });
  assert.deepEqual(await result, { success: true, data: { error: "no", errorCode: "NOT_ALLOWED" } });
  assert.deepEqual(ended, [["ask", "NOT_ALLOWED"]]);
});
