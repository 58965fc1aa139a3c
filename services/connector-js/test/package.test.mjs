// The package as others load it: ES module, CommonJS, <script> tag, types.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import vm from "node:vm";
import ws from "ws";
import * as esm from "../.build/connector.js";
import { Server } from "./support/server.mjs";

const require = createRequire(import.meta.url);
const root = fileURLToPath(new URL("..", import.meta.url));

function asScript() {
  // The browser globals that this script may use; anything else is a ReferenceError.
  const page = { setTimeout, clearTimeout, console, WebSocket: ws };
  vm.runInNewContext(readFileSync(`${root}.build/connector.min.js`, "utf8"), page);
  return page;
}

for (const [how, load] of Object.entries({
  "an ES module": () => esm,
  CommonJS: () => require("../.build/connector.cjs"),
  "a script": () => asScript().wsmesh,
})) {
  test(`it works as ${how}`, { timeout: 9000 }, async () => {
    const { Connector, WebSocketConnector, RequestError, closeGroup, retryAfter } = load();
    assert.deepEqual([closeGroup(4010), retryAfter("retry-after-ms=5")], ["stop", 5]);
    assert.ok(RequestError);
    const server = await Server.start();
    for (const Client of [Connector, WebSocketConnector]) {
      const client = new Client({ url: server.url, WebSocket: ws });
      const peer = await server.accept();
      await client.opened();
      const reply = client.request("echo", { n: 1 });
      await peer.reply({ n: 2 });
      assert.equal(JSON.stringify(await reply), '{"n":2}');
      client.manualClose();
    }
    await server.stop();
  });
}

test("the script keeps the names of what the application gives to it", { timeout: 9000 }, async () => {
  const server = await Server.start();
  const ended = [];
  const context = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  const traceparent = (event) => ({ traceparent: context, end: (error) => ended.push([event, error]) });
  const client = new (asScript().wsmesh.Connector)({ url: server.url, WebSocket: ws, traceparent });
  const peer = await server.accept();
  await client.opened();
  client.emit("say", 1);
  assert.equal((await peer.json()).traceparent, context);
  assert.deepEqual(ended, [["say", undefined]]);
  client.manualClose();
  await server.stop();
});

test("the script sets the global WebSocketConnector", () => {
  const page = asScript();
  assert.equal(page.WebSocketConnector, page.wsmesh.WebSocketConnector);
});

test("every file that package.json names is built", () => {
  const { exports, files, dependencies, ...names } = JSON.parse(readFileSync(`${root}package.json`, "utf8"));
  assert.equal(dependencies, undefined, "no runtime dependency");
  const named = JSON.stringify([exports, names.main, names.module, names.types, names.unpkg]).match(/\.\/dist\/[^"]+/g);
  for (const name of named) assert.ok(existsSync(root + name.replace("./dist", ".build")), name);
});

test("the README's table has every option, with its default", () => {
  const section = readFileSync(`${root}README.md`, "utf8").split("## Options")[1].split("\n## ")[0];
  const rows = new Map([...section.matchAll(/^\| `(\w+)` \| `?([^`|]*?)`? \|/gm)].map(([, name, value]) => [name, value]));
  const declared = readFileSync(`${root}.build/types/options.d.ts`, "utf8").split("interface RequestOptions")[0];
  assert.deepEqual([...rows.keys()].sort(), [...declared.matchAll(/^    (\w+)\??:/gm)].map(([, name]) => name).sort());
  const client = new esm.Connector({ url: "ws://127.0.0.1:1/", WebSocket: ws });
  client.manualClose();
  const { url, WebSocket, ...defaults } = client.settings;
  assert.ok(Object.keys(defaults).length > 10);
  for (const [name, value] of Object.entries(defaults)) {
    assert.equal(rows.get(name), typeof value === "string" ? JSON.stringify(value) : String(value), name);
  }
});

test("the types compile for importers of both module kinds", () => {
  const tsc = require.resolve("typescript/bin/tsc");
  execFileSync(process.execPath, [tsc, "-p", "test/types"], { cwd: root, stdio: "inherit" });
});
