// Against a real ws-node: WSMESH_WS_NODE=target/debug/ws-node npm test
import assert from "node:assert/strict";
import { after, test } from "node:test";
import ws from "ws";
import { Connector, WebSocketConnector } from "../.build/connector.js";
import { Inbox } from "./support/server.mjs";
import { skip, startNode } from "./support/ws-node.mjs";

const cleanup = [];
after(async () => {
  for (const end of cleanup.reverse()) await end();
});

function connect(address, id, options = {}, Client = Connector) {
  const client = new Client({ url: `ws://${address}/chat`, customParams: { id, name: "sam" }, WebSocket: ws, ...options });
  cleanup.push(() => client.manualClose());
  return client;
}

const hear = (client, event) => {
  const heard = new Inbox();
  client.on(event, (data) => heard.put(data));
  return heard;
};

test("two clients talk through a ws-node and are in their room again after it restarts", { skip, timeout: 60_000 }, async () => {
  const first = await startNode();
  cleanup.push(first.stop);
  const [a, b] = [connect(first.address, "a", { pingInterval: 50 }), connect(first.address, "b")];
  await Promise.all([a.opened(), b.opened()]);
  assert.deepEqual(await a.request("echo", { n: 1 }), { ok: true });
  assert.ok((await hear(a, "pong").next()) >= 0);

  assert.deepEqual(await b.joinRoom("1000"), { msg: "joined" });
  const says = hear(b, "say");
  const sent = await a.request("command", { action: "toRoom", roomId: "1000", msg: "hi" });
  assert.equal(sent.msg, "sent");
  assert.deepEqual(await says.next(), { action: "toRoom", msg: "hi" });
  await assert.rejects(a.request("fly"), { errorCode: "UNKNOWN_EVENT" });
  assert.deepEqual(await a.emitWithPromise("command", {}), {
    success: false,
    ...(await new Promise((told) => a.emit("command", {}, (error) => told(error)))),
  });

  const [closes, reconnects, opens] = [hear(b, "close"), hear(b, "reconnect"), hear(b, "open")];
  const [stopped, kept] = [first.stop(), b.request("echo", { n: 2 }, { retry: true, callbackTimeout: 30_000 })];
  const { code, reason, group } = await closes.next();
  assert.deepEqual([code, group], [1012, "delay"]);
  const given = Number(/^retry-after-ms=(\d+)$/.exec(reason)[1]);
  const { timeout } = await reconnects.next();
  // Counted from the close, which was some milliseconds ago.
  assert.ok(timeout >= given - 100 && timeout <= given * 1.25 + 1, `${timeout} ms after ${reason}`);
  await stopped;
  const frames = hear(b, "message");
  const second = await startNode(first.address.split(":")[1]);
  cleanup.push(second.stop);
  await Promise.all([opens.next(), a.opened()]);
  assert.deepEqual(await kept, { ok: true });
  while (!(await frames.next()).includes('"joined"'));
  await a.request("command", { action: "toRoom", roomId: "1000", msg: "again" }, { retry: true });
  assert.deepEqual(await says.next(), { action: "toRoom", msg: "again" });
});

test("WebSocketConnector talks with a ws-node", { skip, timeout: 60_000 }, async () => {
  const node = await startNode();
  cleanup.push(node.stop);
  const client = connect(node.address, 888, {}, WebSocketConnector);
  await hear(client, "open").next();
  assert.deepEqual(await client.emitWithPromise("say", { msg: "hi" }), { success: true, data: { ok: true } });
  const [kicks, other] = [hear(client, "close"), connect(node.address, 888)];
  await other.opened();
  const { code, willReconnect } = await kicks.next();
  assert.deepEqual([code, willReconnect], [4012, false]);
});

test("a client that knows two ws-nodes connects to the other one when its own is stopped", { skip, timeout: 60_000 }, async () => {
  const nodes = [await startNode(), await startNode()];
  for (const { stop } of nodes) cleanup.push(stop);
  const urls = nodes.map(({ address }) => `ws://${address}/chat`);
  const client = connect(nodes[0].address, "a", { url: urls, fastReconnectInterval: 100 });
  const [opens, closes] = [hear(client, "open"), hear(client, "close")];
  await opens.next();
  assert.equal(client.url, urls[0]);
  const asked = client.request("echo", {}, { retry: true, callbackTimeout: 30_000 });
  const stopped = nodes[0].stop();
  assert.equal((await closes.next()).code, 1012);
  await opens.next();
  assert.equal(client.url, urls[1]);
  assert.deepEqual(await asked, { ok: true });
  assert.deepEqual(await client.request("echo", {}), { ok: true });
  await stopped;
});

test("a ws-node answers the first subprotocol that the application offers", { skip, timeout: 60_000 }, async () => {
  const node = await startNode();
  cleanup.push(node.stop);
  for (const [id, protocols, answered] of [
    ["one", "chat", "chat"],
    ["two", ["v2.chat", "chat"], "v2.chat"],
    ["none", undefined, ""],
  ]) {
    let socket;
    class Kept extends ws {
      constructor(...args) {
        super(...args);
        socket = this;
      }
    }
    const client = connect(node.address, id, { protocols, WebSocket: Kept, autoReconnect: "never" });
    // A WebSocket fails if the server accepts none of the subprotocols that it offers.
    await client.opened();
    assert.equal(socket.protocol, answered, id);
    assert.deepEqual(await client.request("echo", {}), { ok: true });
  }
});
