// services/protocol/asyncapi.json: it is an AsyncAPI document, it has what the protocol's README has (which tests in Rust compare
// with the code), and what real servers say is what it says.
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { root } from "./blocks.mjs";
import { Schemas, asyncApi } from "./schemas.mjs";
import { startStandalone } from "../support/cluster.mjs";
import { programs } from "./shell.mjs";
import { Wire } from "./wire.mjs";

process.env.WSMESH_WS_NODE = join(programs, "ws-node");
const { startNode, tokenFor } = await import("../../services/connector-js/test/support/ws-node.mjs");

const read = (path) => readFileSync(join(root, path), "utf8");
const document = JSON.parse(read("services/protocol/asyncapi.json"));
const { messages, schemas } = document.components;
const readme = read("services/protocol/README.md");
const sources = readdirSync(join(root, "services/protocol/src"), { recursive: true })
  .filter((name) => name.endsWith(".rs")).map((name) => read(join("services/protocol/src", name))).join("\n");
const frames = new Schemas({ components: document.components }, "asyncapi");
const problem = (message, frame) => frames.problem(`/components/messages/${message}/payload`, frame);
/** The rows of the README's table that begins with this head, as lists of cells. */
const table = (head) => {
  const rows = readme.slice(readme.indexOf(`\n${head}`)).trimStart().split("\n");
  const end = rows.findIndex((row) => !row.startsWith("|"));
  return rows.slice(2, end).map((row) => row.split(/(?<!\\)\|/).slice(1, -1).map((cell) => cell.trim().replaceAll("\\|", "|")));
};

test("it is an AsyncAPI 3 document", () => {
  const specification = new Schemas(asyncApi(document.asyncapi), "AsyncAPI");
  assert.equal(specification.problem("", document), undefined);
});

test("every reference in it leads somewhere, and nothing in it is unused", () => {
  const found = [...JSON.stringify(document).matchAll(/"\$ref":"#\/([^"]+)"/g)].map(([, path]) => path);
  const at = (path) => path.split("/").reduce((value, key) => value?.[key], document);
  assert.deepEqual(found.filter((path) => at(path) === undefined), []);
  const used = new Set(found);
  const named = ["messages", "schemas", "correlationIds"].flatMap((kind) => Object.keys(document.components[kind]).map((name) => `components/${kind}/${name}`));
  assert.deepEqual(named.filter((path) => !used.has(path)), []);
  const sent = new Set(Object.values(document.operations).flatMap((one) => [one, one.reply ?? {}]).flatMap((one) => one.messages ?? []).map((one) => one.$ref.split("/").at(-1)));
  assert.deepEqual(Object.keys(document.channels.connection.messages).filter((name) => !sent.has(name)), []);
});

test("every message has an example that is one", () => {
  for (const [name, { examples }] of Object.entries(messages)) {
    assert.ok(examples.length, name);
    for (const { payload } of examples) assert.equal(problem(name, payload), undefined, name);
  }
});

test("its built-in events are those of the README, each where it exists", () => {
  const listed = table("| event | profile | payload |").flatMap(([names, where]) => names.split(",").map((name) => [name.trim().replaceAll("`", ""), where]));
  const described = Object.values(messages).filter((message) => message["x-where"]).map((message) => [message.name, message["x-where"]]);
  assert.deepEqual(Object.fromEntries(described), Object.fromEntries(listed));
});

test("its error codes are those of the code, with the meanings of the README", () => {
  const codes = new Set([...sources.matchAll(/Self::\w+ => "([A-Z_]+)"/g)].map(([, code]) => code));
  const described = schemas.wsmeshErrorCode.oneOf.map(({ const: code, description }) => [code, description]);
  assert.deepEqual(new Set(described.map(([code]) => code)), codes);
  const listed = table("| error code | meaning |").map(([code, meaning]) => [code.replaceAll("`", ""), meaning]);
  assert.deepEqual(Object.fromEntries(described), Object.fromEntries(listed));
});

test("its close codes are those of the code, with the meanings of the README", () => {
  const codes = new Set([...sources.matchAll(/^\s+([14]\d{3}) => Self::\w+,/gm)].map(([, code]) => Number(code)));
  const described = document.channels.connection["x-close-codes"];
  assert.deepEqual(new Set(described.flatMap((row) => row.codes)), codes);
  const listed = table("| close code | meaning |").map(([numbers, meaning, comeBack]) => ({ codes: numbers.split(", ").map(Number), meaning, comeBack }));
  assert.deepEqual(described, listed);
});

let bundle;
before(async () => (bundle = await startStandalone()));
after(() => bundle?.stop());

/** Events that need tokens: a test of their own. Nobody is in a match when the document says where to run. */
const WITH_TOKENS = ["authenticate", "refreshToken"];
const REFUSED = ["matchInput"];

for (const { name, "x-where": where, examples } of Object.values(messages).filter((message) => message["x-where"] && !WITH_TOKENS.includes(message.name))) {
  test(`a ws-node answers the example of ${name} as the document says (${where})`, async () => {
    const wire = await Wire.connect(`${bundle.nodes[0].ws}/?id=${name}`);
    try {
      await wire.request({ event: "joinRoom", payload: { roomId: "tea" }, callbackId: "0" });
      const reply = await wire.request(examples[0].payload);
      assert.equal(problem(REFUSED.includes(name) ? "refused" : `${name}.reply`, reply), undefined);
      for (const push of wire.pushes) assert.equal(problem(messages[`push.${push.event}`] ? `push.${push.event}` : "push", push), undefined);
    } finally {
      wire.leave();
    }
  });
}

test("a ws-node that verifies tokens answers authenticate and refreshToken as the document says", async () => {
  const folder = mkdtempSync(join(tmpdir(), "asyncapi-"));
  const key = join(folder, "jwt.key");
  writeFileSync(key, "0123456789abcdef0123456789abcdef");
  const node = await startNode(0, ["--jwt-key-file", key, "--auth-by-message"]);
  let wire;
  try {
    wire = await Wire.connect(`ws://${node.address}/`);
    for (const event of WITH_TOKENS) {
      const frame = { event, payload: { token: tokenFor("888", key) }, callbackId: "1" };
      assert.equal(problem(event, frame), undefined);
      assert.equal(problem(`${event}.reply`, await wire.request(frame)), undefined);
    }
  } finally {
    wire?.leave();
    await node.stop();
    rmSync(folder, { recursive: true });
  }
});

test("a ws-node refuses what is wrong as the document says", async () => {
  const wire = await Wire.connect(`${bundle.nodes[0].ws}/?id=wrong`);
  try {
    const codes = [];
    for (const frame of [{ event: "nobodyKnows" }, { event: "joinRoom", payload: {} }, { event: "" }]) {
      const refusal = await wire.request({ ...frame, callbackId: "1" });
      assert.equal(problem("refused", refusal), undefined);
      codes.push(refusal.payload.errorCode);
    }
    assert.deepEqual(codes, ["UNKNOWN_EVENT", "BAD_PAYLOAD", "BAD_FRAME"]);
    assert.equal(problem("push.wsmesh.error", await wire.push({ event: "echo", callbackId: {} })), undefined);
    assert.equal(await wire.beat(), "");
  } finally {
    wire.leave();
  }
});
