// Options that are not valid, or that do not exist.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import ws from "ws";
import { Connector } from "../.build/connector.js";
import { Server } from "./support/server.mjs";

const TIMEOUT = { timeout: 9000 };
let server;
before(async () => (server = await Server.start()));
after(() => server.stop());

test("options that are not valid throw before anything is connected, and the error says what to do", TIMEOUT, () => {
  const url = /^url must be an address that begins with ws:\/\/ or wss:\/\/$/;
  const whole = [[undefined, url], [null, url], [server.url, url], [{}, url]];
  for (const [options, says] of whole) assert.throws(() => new Connector(options), { name: "TypeError", message: says });
  const number = (name, least) => new RegExp(`^${name} must be a number from ${least} to 2147483647, not (number|string) `);
  for (const [wrong, says] of [
    [{ url: "http://host/" }, url], [{ url: undefined }, url], [{ url: "ws://" }, url], [{ url: "localhost:9000" }, url],
    [{ url: [] }, url], [{ url: [server.url, "http://host/"] }, url], [{ url: [server.url, undefined] }, url],
    [{ pongTimeout: 0 }, number("pongTimeout", 1)], [{ pingInterval: -1 }, number("pingInterval", 0)],
    [{ callbackTimeout: "5" }, /not string 5$/], [{ repeatLimit: NaN }, /not number NaN$/],
    [{ connectTimeout: Infinity }, number("connectTimeout", 1)], [{ reconnectMaxInterval: 2 ** 31 }, number("reconnectMaxInterval", 50)],
    [{ fastReconnectInterval: 0 }, number("fastReconnectInterval", 50)], [{ reconnectMaxInterval: 49 }, number("reconnectMaxInterval", 50)],
    [{ maxPending: 0 }, number("maxPending", 1)], [{ offlineQueue: -1 }, number("offlineQueue", 0)],
    [{ autoReconnect: "allways" }, /^autoReconnect must be always\|error\|never$/], [{ tokenIn: "header" }, /^tokenIn must be query\|message$/],
    [{ token: "geheim" }, /^token must be a function$/], [{ traceparent: "00-1" }, /^traceparent must be a function$/],
    [{ pingMsg: 5 }, /^pingMsg must be a string$/], [{ customParams: "id=888" }, /^customParams must be an object$/],
    [{ WebSocket: {} }, /^WebSocket must be a function$/],
  ]) {
    const options = { url: server.url, WebSocket: ws, ...wrong };
    assert.throws(() => new Connector(options), { name: "TypeError", message: says }, JSON.stringify(wrong));
  }
  const builtIn = globalThis.WebSocket;
  globalThis.WebSocket = undefined;
  try {
    assert.throws(() => new Connector({ url: server.url }), /no global WebSocket.*package ws/);
  } finally {
    globalThis.WebSocket = builtIn;
  }
});

test("an unknown option is named together with the known ones: of a client, of a request and of an event", TIMEOUT, async () => {
  assert.throws(
    () => new Connector({ url: server.url, WebSocket: ws, callbackTimout: 100 }),
    { name: "TypeError", message: /^unknown option callbackTimout: use url, protocols, .*callbackTimeout, / },
  );
  const client = new Connector({ url: server.url, WebSocket: ws, pingInterval: 0 });
  await server.accept();
  await client.opened();
  const says = { name: "TypeError", message: "unknown option timeout: use callbackTimeout, onPending, pendingTimeout, retry, idempotencyKey" };
  await assert.rejects(client.request("a", 1, { timeout: 100 }), says);
  await assert.rejects(client.emitWithPromise("a", 1, { timeout: 100 }), says);
  assert.throws(() => client.emit("a", 1, () => {}, { timeout: 100 }), says);
  assert.throws(() => client.emit("a", 1, undefined, { timeout: 100 }), says);
  assert.throws(() => client.emit("a", 1, { callbackTimeout: 100 }), { name: "TypeError", message: "callback must be a function" });
  client.manualClose();
});
