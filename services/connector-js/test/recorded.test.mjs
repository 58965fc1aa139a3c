// Frames and the URL equal those recorded from the client of websocket-cross-server-adapter, byte for byte.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import ws from "ws";
import { Connector, WebSocketConnector } from "../.build/connector.js";
import { Server } from "./support/server.mjs";

const vectors = new URL("../../../tests/vectors/recorded.json", import.meta.url);
const { client: recorded } = JSON.parse(readFileSync(vectors, "utf8"));
const url = recorded.find((entry) => entry.case === "connect url").text;
const [event, request] = recorded.filter((entry) => entry.case === "text frame").map((entry) => entry.text);
const reply = recorded.find((entry) => entry.case === "reply").text;
const close = recorded.find((entry) => entry.case === "close");
const recordedId = JSON.parse(request).callbackId;

let server;
before(async () => (server = await Server.start()));
after(() => server.stop());

for (const Client of [Connector, WebSocketConnector]) {
  test(`${Client.name} sends what websocket-cross-server-adapter sends`, { timeout: 20_000 }, async () => {
    const client = new Client({
      url: server.url,
      customParams: { id: 888, name: "sam & co" },
      pingInterval: 50,
      WebSocket: ws,
    });
    const opened = client.opened();
    const peer = await server.accept();
    assert.equal(peer.path, url);
    await opened;
    client.setPingInterval(3_600_000, true);

    const { payload } = JSON.parse(event);
    client.emit("say", payload);
    assert.equal(await peer.read(), event);

    const replied = new Promise((resolve) => client.emit("say", payload, (...args) => resolve(args)));
    const frame = await peer.read();
    const { callbackId } = JSON.parse(frame);
    assert.match(callbackId, /^[0-9a-z]+-[0-9a-z]{4}-[0-9a-z]+$/, "the id has the form that websocket-cross-server-adapter uses");
    assert.equal(frame.replace(callbackId, recordedId), request);
    peer.say(reply.replace(recordedId, callbackId));
    assert.deepEqual(await replied, [null, { ok: true }]);

    const promised = client.emitWithPromise("say", payload);
    await peer.reply({ ok: true });
    assert.deepEqual(await promised, { success: true, data: { ok: true } });

    const pong = new Promise((resolve) => client.once("pong", resolve));
    client.setPingInterval(1, true);
    assert.equal(await peer.read(), recorded.find((entry) => entry.case === "heartbeat echo").text);
    client.setPingInterval(3_600_000);
    peer.say("");
    assert.equal(typeof (await pong), "number");

    client.manualClose();
    assert.deepEqual(await peer.closed(), [close.code, close.reason]);
  });
}
