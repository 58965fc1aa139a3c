// The behaviour that every SDK has, from the table that they share.
import { readFileSync } from "node:fs";
import { before, describe, test } from "node:test";
import ws from "ws";
import { Connector } from "../.build/connector.js";
import { Server } from "./support/server.mjs";
import { run } from "./support/table.mjs";

const table = new URL("../../../tests/vectors/client-behaviour.json", import.meta.url);
const { scenarios } = JSON.parse(readFileSync(table, "utf8"));
const sockets = Object.entries({ ws, "the built-in WebSocket": globalThis.WebSocket }).filter(([, socket]) => socket);

for (const [name, WebSocket] of sockets) {
  describe(`with ${name}`, () => {
    // The built-in WebSocket is loaded at its first use, when it must see the real clock.
    before(async () => {
      const server = await Server.start();
      const client = new Connector({ url: server.url, WebSocket });
      const peer = await server.accept();
      await client.opened();
      const closed = new Promise((resolve) => client.on("close", resolve));
      peer.socket.close(1000);
      await Promise.all([closed, peer.closed()]);
      await server.stop();
    });
    for (const scenario of scenarios.filter(({ only }) => only?.includes("js") ?? true)) {
      for (const each of scenario.each ?? [undefined]) {
        const which = each === undefined ? "" : `: ${each}`;
        test(scenario.name + which, { timeout: 20_000 }, async () => {
          for (const random of [0, 0.5, 0.999]) await run(Connector, WebSocket, scenario, each, random);
        });
      }
    }
  });
}
