// Tokens, against a real ws-node.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import ws from "ws";
import { Connector } from "../.build/connector.js";
import { Inbox } from "./support/server.mjs";
import { skip, startNode, tokenFor } from "./support/ws-node.mjs";

const cleanup = [];
after(async () => {
  for (const end of cleanup.reverse()) await end();
});

async function start(...more) {
  const folder = mkdtempSync(join(tmpdir(), "tokens-"));
  cleanup.push(() => rmSync(folder, { recursive: true }));
  const key = join(folder, "key");
  writeFileSync(key, randomBytes(32).toString("hex"));
  const node = await startNode(0, ["--jwt-key-file", key, "--auth-by-message", "--auth-timeout", "5s", ...more]);
  cleanup.push(node.stop);
  return { key, url: `ws://${node.address}/chat` };
}

function connect(url, token, tokenIn, more = { autoReconnect: "never" }) {
  const client = new Connector({ url, WebSocket: ws, token, tokenIn, ...more });
  cleanup.push(() => client.manualClose());
  return client;
}

for (const tokenIn of ["query", "message"]) {
  test(`a token in the ${tokenIn} authenticates the client`, { skip, timeout: 60_000 }, async () => {
    const { key, url } = await start();
    const [a, b] = ["a", "b"].map((id) => connect(url, async () => tokenFor(id, key), tokenIn));
    await Promise.all([a.opened(), b.opened()]);
    const says = new Inbox();
    b.on("say", (data) => says.put(data));
    assert.deepEqual(await a.request("command", { action: "toPlayer", toPlayerId: "b", msg: "hi" }), { msg: "sent" });
    assert.deepEqual(await says.next(), { action: "toPlayer", msg: "hi" });
    const fresh = { token: tokenFor("a", key, "2h") };
    assert.ok(await a.request("refreshToken", fresh), "extends the stay");
  });
}

test("an invalid token in the first message ends the connection", { skip, timeout: 60_000 }, async () => {
  const { url } = await start();
  const client = connect(url, () => "nonsense", "message");
  const closes = new Inbox();
  client.on("close", (close) => closes.put(close));
  const { code, group } = await closes.next();
  assert.deepEqual([code, group], [4011, "stop"]);
});

for (const tokenIn of ["query", "message"]) {
  test(`a token in the ${tokenIn} that expired is replaced by a fresh one`, { skip, timeout: 60_000 }, async () => {
    const { key, url } = await start("--jwt-leeway", "0s");
    const client = connect(url, () => tokenFor("a", key, "2s"), tokenIn, { fastReconnectInterval: 100 });
    await client.opened();
    const closes = new Inbox();
    client.on("close", (close) => closes.put(close));
    const { code, willReconnect } = await closes.next();
    assert.deepEqual([code, willReconnect], [4011, true]);
    await client.opened();
    assert.ok(client.isOpen);
  });
}
