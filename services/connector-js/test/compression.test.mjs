// permessage-deflate between a real ws-node and the implementation of the package ws.
import assert from "node:assert/strict";
import { once } from "node:events";
import { after, test } from "node:test";
import ws from "ws";
import { skip, startNode } from "./support/ws-node.mjs";

const cleanup = [];
after(async () => {
  for (const end of cleanup.reverse()) await end();
});

async function connect(address, id, perMessageDeflate) {
  const socket = new ws(`ws://${address}/chat?id=${id}`, { perMessageDeflate });
  cleanup.push(() => socket.terminate());
  await once(socket, "open");
  // Compressed messages are counted before the socket inflates them.
  const bytes = () => socket._socket.bytesRead;
  const say = (event, payload, callbackId) => socket.send(JSON.stringify({ event, payload, callbackId }));
  const heard = [];
  socket.on("message", (data) => heard.push(JSON.parse(data)));
  const wait = async (wanted) => {
    for (;;) {
      const found = heard.find(wanted);
      if (found) return found;
      await once(socket, "message");
    }
  };
  return { socket, bytes, say, wait };
}

test("members of a room get the same message with and without compression", { skip, timeout: 60_000 }, async () => {
  const node = await startNode(0, ["--deflate", "--deflate-above", "100"]);
  cleanup.push(node.stop);
  const [packed, plain, small] = await Promise.all([
    connect(node.address, "packed", { threshold: 0 }),
    connect(node.address, "plain", false),
    connect(node.address, "small", { threshold: 0, clientMaxWindowBits: 9, serverNoContextTakeover: true }),
  ]);
  const everyone = [packed, plain, small];
  assert.deepEqual(everyone.map(({ socket }) => socket.extensions), ["permessage-deflate", "", "permessage-deflate"]);
  for (const one of everyone) {
    one.say("joinRoom", { roomId: "1" }, "join");
    await one.wait(({ callbackId }) => callbackId === "join");
  }
  const before = everyone.map(({ bytes }) => bytes());
  for (let n = 0; n < 20; n++) {
    const msg = { n, text: "all work and no play ".repeat(100) };
    everyone[n % 3].say("command", { action: "toRoom", roomId: "1", msg });
    for (const one of everyone) {
      const { payload } = await one.wait(({ payload }) => payload.msg?.n === n);
      assert.deepEqual(payload.msg, msg);
    }
  }
  const [a, b, c] = everyone.map(({ bytes }, index) => bytes() - before[index]);
  assert.ok(b > 20 * 2100, `${b} bytes uncompressed`);
  assert.ok(a < b / 10 && c < b / 10, `${a}, ${b} and ${c} bytes`);
});

test("a client that asks the server for a small window works, without compression", { skip, timeout: 60_000 }, async () => {
  const node = await startNode(0, ["--deflate"]);
  cleanup.push(node.stop);
  const client = await connect(node.address, "a", { serverMaxWindowBits: 9 });
  assert.equal(client.socket.extensions, "");
  client.say("echo", {}, "1");
  assert.deepEqual((await client.wait(({ callbackId }) => callbackId === "1")).payload, { ok: true });
});
