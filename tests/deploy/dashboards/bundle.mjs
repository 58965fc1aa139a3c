// A whole bundle under load, for a Prometheus to scrape: three Redis, three ws-nodes, two game-logic, an admin, a backend, a collector of
// traces that takes everything, and clients of wsmesh-load. Then some faults that a healthy cluster is free of: a backend that fails, clients
// without a right, messages that are too large, a Redis and a ws-node that hang for some seconds, and a Redis that admin removes.
import { generateKeyPairSync } from "node:crypto";
import { createServer, request } from "node:http";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Program, freePort, startRedis, until } from "../../support/cluster.mjs";

/** What all three services call over HTTP: events, the connect hook, the watch, the keys, and OTLP. */
async function startBackend() {
  const jwk = { ...generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey.export({ format: "jwk" }), kid: "k", alg: "ES256", use: "sig" };
  const answers = {
    "/event": () => [200, { ok: true }],
    "/fails": () => [503, {}],
    "/connect": ({ params }) => (params.id ? [200, { client: String(params.id), events: ["priced"] }] : [403, {}]),
    "/watch": () => [200, {}],
    "/keys": () => [200, { keys: [jwk] }],
  };
  let spans = 0;
  const server = createServer(async (asked, answer) => {
    const chunks = [];
    for await (const chunk of asked) chunks.push(chunk);
    const body = Buffer.concat(chunks);
    if (asked.url.startsWith("/v1/")) {
      spans += asked.url === "/v1/traces" ? 1 : 0;
      return answer.writeHead(200, { "content-type": "application/x-protobuf" }).end();
    }
    const json = body.length && asked.headers["content-type"]?.includes("json") ? JSON.parse(body) : {};
    const [status, reply] = answers[asked.url]?.(json.data ?? json) ?? [404, {}];
    answer.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(reply));
  });
  const port = await freePort();
  await new Promise((listens) => server.listen(port, "127.0.0.1", listens));
  return { url: `http://127.0.0.1:${port}`, spans: () => spans, stop: () => server.close() };
}

// Modes whose players wait, each in a queue that one of the game-logics has.
const LARGE = ["arena", "raid", "league", "war"];
const GAME = ["--match-time=3s", `--modes=duel:2,${LARGE.map((mode) => `${mode}:60`).join(",")}`];

const rules = (url) => `
[[rules]]
event = "priced"
url = "${url}/event"
[[rules]]
event = "broken"
url = "${url}/fails"
idempotent = true
[[watch]]
url = "${url}/watch"
events = ["connected", "disconnected", "joined", "left"]
`;
const hooked = (url) => `
[connect]
url = "${url}/connect"
mode = "instead"
`;

/** A message of a client, of less than 126 bytes, with a mask of zeros. */
function frame(message) {
  const text = Buffer.from(JSON.stringify(message));
  return Buffer.concat([Buffer.from([0x81, 0x80 | text.length, 0, 0, 0, 0]), text]);
}

/** One connection that is refused, or sends these messages and ends. */
function knock(port, query, messages = []) {
  const headers = { connection: "upgrade", upgrade: "websocket", "sec-websocket-version": "13", "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA==" };
  return new Promise((done) => {
    const asked = request({ port, host: "127.0.0.1", path: `/?${query}`, headers }, (answer) => answer.resume().on("end", done));
    asked.on("upgrade", (_, socket) => {
      for (const message of messages) socket.write(frame(message));
      setTimeout(() => done(socket.destroy()), 900);
    });
    asked.on("error", done).end();
  });
}

/** Starts it all; `targets` is what Prometheus scrapes. `programs` is the folder with the binaries, `work` one for files. */
export async function startBundle(programs, work) {
  const backend = await startBackend();
  const redises = await Promise.all(["redis-0", "redis-1", "redis-2"].map(startRedis));
  const running = [];
  const telemetry = { OTEL_EXPORTER_OTLP_ENDPOINT: backend.url, OTEL_BSP_SCHEDULE_DELAY: "1000" };
  const start = async (component, name, ...more) => {
    const [port, opsPort] = [await freePort(), await freePort()];
    const flags = [`--name=${name}`, `--listen=127.0.0.1:${port}`, `--ops-listen=127.0.0.1:${opsPort}`, `--redis=${redises.map(({ url }) => url).join(",")}`];
    const program = new Program(join(programs, component), [...flags, ...more], telemetry);
    const server = { component, name, port, opsPort, program };
    running.push(server);
    await program.ready(opsPort);
    return server;
  };
  const config = (name, text) => {
    const file = join(work, `${name}.toml`);
    writeFileSync(file, text);
    return `--config=${file}`;
  };
  const stop = async () => {
    await Promise.all(running.map(({ program }) => program.stop("SIGKILL")));
    await Promise.all(redises.map((redis) => redis.stop("SIGKILL")));
    backend.stop();
  };
  try {
    const demo = "--profile=demo";
    await Promise.all([
      ...["ws-0", "ws-1"].map((name) => start("ws-node", name, demo, "--ping-interval=2s", "--max-publish-bytes=65536", "--max-message-bytes=200000", config(name, rules(backend.url)))),
      // Those who may not come in, and keys that are fetched.
      start("ws-node", "ws-2", "--profile=production", `--jwks-url=${backend.url}/keys`, "--jwt-audience=games"),
      start("ws-node", "ws-3", "--profile=production", "--events-per-second=2", "--events-burst=2", config("ws-3", hooked(backend.url) + rules(backend.url))),
      ...["logic-0", "logic-1"].map((name) => start("game-logic", name, demo, ...GAME)),
      // Outside of Kubernetes it only tells that it does not lead.
      start("admin", "admin-0", demo, "--kubernetes-lease=wsmesh-admin"),
    ]);
  } catch (error) {
    await stop();
    throw error;
  }
  const named = (name) => running.find((server) => server.name === name);
  return { backend, redises, named, targets: running, load: (seconds) => load(programs, named, seconds), faults: () => faults(named, redises, start), stop };
}

/** Clients of every kind for so many seconds, beside each other. Those that fail on purpose fail the program, too. */
async function load(programs, named, seconds) {
  const [first, second, guarded] = ["ws-0", "ws-1", "ws-3"].map((name) => `ws://127.0.0.1:${named(name).port}/`);
  const common = ["--seconds", `${seconds}`, "--warmup", "1", "--drain", "2", "--patience", "60", "--allow-loss", "--progress", "false"];
  const runs = [
    ["direct", "--url", first, "--url", second, "--connections", "20", "--rate", "100"],
    ["fanout", "--url", first, "--url", second, "--connections", "40", "--rooms", "4", "--rate", "20"],
    ["request", "--url", first, "--connections", "10", "--rate", "20"],
    ["request", "--url", first, "--connections", "5", "--rate", "20", "--event", "priced"],
    ["request", "--url", second, "--connections", "2", "--rate", "4", "--event", "broken"],
    ["request", "--url", second, "--connections", "2", "--rate", "4", "--event", "nobodyKnowsThis"],
    ["request", "--url", first, "--url", second, "--connections", "6", "--window", "1", "--event", "matchRequest", "--payload", '{"mode":"duel"}'],
    // Fewer than a match needs, so they wait when the game-logic that has their queue goes; too large for a node; more than a limit, and without a right.
    ...LARGE.map((mode) => ["request", "--url", first, "--connections", "1", "--window", "1", "--event", "matchRequest", "--payload", JSON.stringify({ mode })]),
    ["direct", "--url", first, "--url", second, "--connections", "2", "--rate", "1", "--size", "100000"],
    ["request", "--url", guarded, "--connections", "2", "--rate", "20", "--event", "priced"],
    ["request", "--url", guarded, "--connections", "2", "--rate", "2", "--event", "broken"],
  ].map(([mode, ...more]) => new Program(join(programs, "wsmesh-load"), [mode, ...more, ...common]));
  const twice = [1, 2].map((callbackId) => ({ event: "gamePing", callbackId, idempotencyKey: "once" }));
  const knocking = (async () => {
    for (let turn = 0; turn < seconds; turn++) {
      await Promise.all([knock(named("ws-2").port, "token=wrong"), knock(named("ws-3").port, "nobody=1"), knock(named("ws-0").port, `id=knock-${turn}`, twice)]);
      await fetch(`http://127.0.0.1:${named("admin-0").port}/api/v1/cluster`);
      await sleep(200);
    }
  })();
  await Promise.all([...runs.map(({ ended }) => ended), knocking]);
  return runs.map(({ child, log }) => ({ command: child.spawnargs.slice(1, 4).join(" "), code: child.exitCode, log }));
}

/** Stops a process for some seconds, as a machine without CPU does, and lets it go on. */
async function hang({ child }, seconds) {
  child.kill("SIGSTOP");
  await sleep(seconds * 1000);
  child.kill("SIGCONT");
}

/** A Redis and a ws-node that hang, a Redis that admin removes, a game-logic that goes, a ws-node that is drained, requests to admin. */
async function faults(named, redises, start) {
  const admin = `http://127.0.0.1:${named("admin-0").port}/api/v1/`;
  const ask = (path, method = "GET", body) => fetch(admin + path, { method, body: body && JSON.stringify(body), headers: body ? { "content-type": "application/json" } : {} });
  await ask("cluster");
  await ask("nothing-of-this-name");
  // Longer than three probe intervals, so that it is not heard; longer than the replay window, so that it may have missed something.
  await hang(redises[0].program, 6);
  await hang(named("ws-1").program, 14);
  await ask("servers/ws-3/drain", "POST");
  // Refused while the server that hung does not hear every node again.
  const { id } = await until("admin removes a node", () => ask("nodes/redis-2", "DELETE").then((answer) => answer.json()).then((job) => job.id && job));
  await until("the job of the removed node ends", async () => !["running", "waiting"].includes((await ask(`jobs/${id}`).then((answer) => answer.json())).state));
  await named("logic-1").program.stop();
  await start("game-logic", "logic-2", "--profile=demo", ...GAME);
  await ask("servers/ws-3/resume", "POST");
}
