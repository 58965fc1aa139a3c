// One Redis, two ws-nodes and what else a test needs as processes, on ports that were free a moment ago.
import { spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { createServer } from "node:net";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const SOON_MS = 30_000;
const programs = resolve(process.env.WSMESH_PROGRAMS ?? fileURLToPath(new URL("../../target/debug", import.meta.url)));

/** A free port below the range of outgoing connections, so that it is not taken meanwhile. */
export async function freePort() {
  for (;;) {
    const port = 10_000 + Math.floor(Math.random() * 22_000);
    const held = createSocket("udp4");
    if (!(await bound(held, (told) => held.bind(port, "127.0.0.1", told)))) continue;
    held.unref();
    const server = createServer();
    const free = await bound(server, (told) => server.listen(port, "127.0.0.1", told));
    if (!free) {
      held.close();
      continue;
    }
    await new Promise((closed) => server.close(closed));
    return port;
  }
}

/** Whether a socket or server could be bound. */
const bound = (socket, bind) =>
  new Promise((told) => {
    socket.once("error", () => told(false));
    bind(() => told(true));
  });

/** Calls `ask` again and again until it returns something true. */
export async function until(what, ask) {
  const end = Date.now() + SOON_MS;
  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    if (Date.now() > end) throw new Error(`timed out waiting until ${what}`);
    await sleep(25);
  }
}

/** A process; `log` is what it has written so far. */
export class Program {
  constructor(command, args, more = {}) {
    // The services read every WSMESH_ variable as a setting, and unknown settings are errors. Nothing here is behind a proxy.
    const kept = Object.entries(process.env).filter(([name]) => !/^WSMESH_|_proxy$/i.test(name));
    this.log = "";
    this.child = spawn(command, args, { env: { ...Object.fromEntries(kept), ...more }, stdio: ["ignore", "pipe", "pipe"] });
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream.setEncoding("utf8").on("data", (text) => (this.log += text));
    }
    this.ended = once(this.child, "exit");
    // Waiting callers report it; a missing program must not end the tests without a message.
    this.ended.catch((error) => (this.log += error.message));
  }

  /** Waits until it has written `text`. */
  async says(text) {
    await until(`it says "${text}"`, () => {
      this.runs();
      return this.log.includes(text);
    });
  }

  runs() {
    if (this.child.exitCode !== null || !this.child.pid) throw new Error(`it ended:\n${this.log}`);
  }

  async ready(opsPort) {
    await until("it is ready", async () => {
      this.runs();
      return fetch(`http://127.0.0.1:${opsPort}/readyz`).then((answer) => answer.ok, () => false);
    }).catch((error) => {
      throw new Error(`${this.child.spawnfile}: ${error.message}\n${this.log}`);
    });
  }

  async stop(signal = "SIGTERM") {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      this.child.kill(signal);
      await this.ended;
    }
  }
}

class Service {
  constructor(name, args, port, opsPort) {
    Object.assign(this, { name, args, port, opsPort });
  }

  async start() {
    this.program = new Program(join(programs, this.name), this.args);
    await this.program.ready(this.opsPort);
  }

  stop(signal) {
    return this.program?.stop(signal);
  }

  get http() {
    return `http://127.0.0.1:${this.port}/`;
  }

  get ws() {
    return `ws://127.0.0.1:${this.port}`;
  }
}

/** Starts the whole bundle in one process, like `make run`, on free ports; `stop()` ends it. */
export async function startStandalone(...more) {
  const program = new Program(join(programs, "wsmesh-standalone"), ["--port-base=0", "--log-level=warn", ...more]);
  try {
    await program.says("Ctrl-C ends it.");
    const welcome = program.log;
    const nodes = [...welcome.matchAll(/ws:\/\/(127\.0\.0\.1:\d+)/g)].map(([ws, address]) => ({ ws, http: `http://${address}/` }));
    const [, admin] = /admin +(http:\S+)/.exec(welcome);
    return { nodes, admin, stop: (signal) => program.stop(signal) };
  } catch (error) {
    await program.stop("SIGKILL");
    throw error;
  }
}

/** A Redis on a free port; `url` names it, if it is given a name. */
export async function startRedis(name) {
  const port = await freePort();
  const url = `redis://127.0.0.1:${port}${name ? `#${name}` : ""}`;
  const program = new Program("redis-server", ["--port", `${port}`, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
  return { url, name, program, stop: (signal) => program.stop(signal) };
}

/**
 * Starts everything: two ws-nodes with these flags, and one of each of the other services. `redisCount` is the number of Redis
 * nodes; several have the names redis-0, redis-1 and so on. `nodes` are the ws-nodes, `admin` is the address of admin if there is
 * one, `adminService` its process, `redis` the URL of Redis, `redises` all of them; `stop()` ends everything.
 */
export async function startCluster({ flags = [], adminFlags = [], services = ["game-logic"], redisCount = 1 } = {}) {
  const names = Array.from({ length: redisCount }, (_, i) => (redisCount > 1 ? `redis-${i}` : undefined));
  const redises = await Promise.all(names.map(startRedis));
  const redisUrl = redises.map(({ url }) => url).join(",");
  const service = async (program, name, ...more) => {
    const [port, opsPort] = [await freePort(), await freePort()];
    const common = ["--profile=demo", `--name=${name}`, `--redis=${redisUrl}`];
    const listen = [`--listen=127.0.0.1:${port}`, `--ops-listen=127.0.0.1:${opsPort}`];
    return new Service(program, [...common, ...listen, ...more], port, opsPort);
  };
  const nodes = [];
  for (const name of ["ws-0", "ws-1"]) nodes.push(await service("ws-node", name, "--reconnect-spread=1s", ...flags));
  const others = [];
  for (const program of services) {
    others.push(await service(program, `${program.replace("game-", "")}-0`, ...(program === "admin" ? adminFlags : [])));
  }
  const all = [...nodes, ...others];
  const stop = async () => {
    await Promise.all(all.map((one) => one.stop("SIGKILL")));
    await Promise.all(redises.map((redis) => redis.stop()));
  };
  try {
    await Promise.all(all.map((one) => one.start()));
  } catch (error) {
    await stop();
    throw error;
  }
  const adminService = others.find(({ name }) => name === "admin");
  return { nodes, redis: redisUrl, redises, admin: adminService?.http, adminService, stop };
}
