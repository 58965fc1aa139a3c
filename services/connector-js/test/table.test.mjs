// The behaviour that every SDK has, from the table that all of them share.
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import ws from "ws";
import { Connector } from "../.build/connector.js";
import { run } from "./support/table.mjs";

const table = new URL("../../../tests/vectors/client-behaviour.json", import.meta.url);
const { scenarios } = JSON.parse(readFileSync(table, "utf8"));
const sockets = Object.entries({ ws, "the built-in WebSocket": globalThis.WebSocket }).filter(([, socket]) => socket);

for (const [name, WebSocket] of sockets) {
  describe(`with ${name}`, () => {
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
