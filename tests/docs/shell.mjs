// Runs blocks of shell commands as if they were pasted into one shell at the root of the repository: in a scratch folder that
// looks like it, in a network of its own where the system allows that, with what they build built before.
import { spawn, spawnSync } from "node:child_process";
import { chmodSync, closeSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, readdirSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { root } from "./blocks.mjs";

const LIMIT_MS = 120_000;
/** Where a project of the reader's own is built: everything that it needs may have to be compiled first. */
const BUILD_LIMIT_MS = 900_000;
const LEFTOVERS_MS = 15_000;
const here = (name) => join(root, "tests/docs", name);
/** Where the built programs are. */
export const programs = resolve(process.env.WSMESH_PROGRAMS ?? join(root, "target/debug"));

/** How a command gets a network of its own with nothing but a loopback; undefined where that is not allowed. */
const ownNetwork = [["unshare", "--net"], ["unshare", "--map-root-user", "--net"]].find(([command, ...args]) =>
  spawnSync(command, [...args, "ip", "link", "set", "lo", "up"], { env: environment() }).status === 0);

function environment(more = {}) {
  // Settings and proxies of the person who runs the tests are not those of a reader.
  const kept = Object.entries(process.env).filter(([name]) => !/^(WSMESH|OTEL)_|_proxy$/i.test(name));
  const { PATH, ...rest } = Object.fromEntries(kept);
  return { ...rest, PATH: `${PATH}:/usr/sbin:/sbin`, ...more };
}

/**
 * Runs these blocks one after the other; throws with all their output when a command fails, or when something that they
 * started has not ended so soon after them.
 */
export async function run(blocks, leftoversMs = LEFTOVERS_MS) {
  const around = mkdtempSync(join(tmpdir(), "documents-"));
  const folder = scratch(around, blocks.some(({ dry }) => dry));
  const output = join(folder, ".run/output");
  const said = () => readFileSync(output, "utf8");
  const limitMs = blocks.some(({ text }) => /cargo \w+ .*--manifest-path|LANGUAGE=go/.test(text)) ? BUILD_LIMIT_MS : LIMIT_MS;
  let shell;
  try {
    if (!ownNetwork) await portsAreFree(blocks);
    shell = start(folder, blocks, output, limitMs);
    const code = await shell.code;
    if (code === undefined) throw new Error(`it has not ended after ${limitMs / 1000} s`);
    if (code !== 0 || existsSync(join(folder, ".run/failed"))) throw new Error("a command failed");
    if (/"level":"ERROR"|panicked/.test(said())) throw new Error("a server reports an error");
    nothingIsUntracked(folder);
    await nothingRuns(() => running(around, shell.pid), leftoversMs);
    for (const { dry, text } of blocks) if (!dry) isSaid(text, said());
  } catch (error) {
    const parts = blocks.map(({ path, line }) => `${path}:${line}`).join(", then ");
    throw new Error(`${parts}: ${error.message}\n${existsSync(output) ? said() : ""}`);
  } finally {
    if (shell) {
      for (const { pid } of running(around, shell.pid)) end(pid);
      await shell.leave();
    }
    rmSync(around, { recursive: true });
  }
}

function end(pid) {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if (error.code !== "ESRCH") throw error;
  }
}

/**
 * A folder that looks like a clone of the repository, with what was built, inside a folder where blocks may make others beside it.
 * A dry one has programs that only read their arguments.
 */
function scratch(around, dry) {
  const folder = join(around, "wsmesh");
  mkdirSync(folder);
  const entries = readdirSync(root).filter((name) => name !== "target" && name !== ".git");
  for (const name of entries) symlinkSync(join(root, name), join(folder, name));
  // git does not follow links to its own files.
  rmSync(join(folder, ".gitignore"));
  copyFileSync(join(root, ".gitignore"), join(folder, ".gitignore"));
  for (const kind of ["debug", "release"]) {
    const target = join(folder, "target", kind);
    if (!dry) {
      mkdirSync(join(folder, "target"), { recursive: true });
      symlinkSync(programs, target);
      continue;
    }
    mkdirSync(target, { recursive: true });
    for (const name of ["ws-node", "game-logic", "admin", "wsmesh-standalone", "wsmesh-load"]) {
      writeFileSync(join(target, name), `#!/bin/sh\nexec ${join(programs, name)} "$@" --help >/dev/null\n`);
      chmodSync(join(target, name), 0o755);
    }
  }
  mkdirSync(join(folder, ".run"));
  return folder;
}

/**
 * Starts bash with the blocks: `code` resolves to its exit code, or to undefined when it takes too long. Around it a process
 * stays until `leave()`, or until these tests end: it holds the network, whose number would be given to another one.
 */
function start(folder, blocks, output, limitMs) {
  const files = blocks.map(({ path, line, text }, index) => {
    mkdirSync(join(folder, `.run/${index}`));
    // So that bash names the line in the document.
    writeFileSync(join(folder, `.run/${index}/${basename(path)}`), "\n".repeat(line) + text);
    return `source .run/${index}/${basename(path)}`;
  });
  const script = [
    // As where people type: jobs have groups of their own, and %1 is the first.
    "set -mEe -o pipefail",
    `trap 'echo "$BASH_SOURCE: line $LINENO: exit code $?: $BASH_COMMAND" | tee -a .run/failed >&2' ERR`,
    ...files,
  ];
  writeFileSync(join(folder, ".run/script"), script.join("\n") + "\n");
  const dry = blocks.some((block) => block.dry) ? [here("dry")] : [];
  const env = environment({ DOCUMENTS_ROOT: root, DOCUMENTS_PROGRAMS: programs, CURL_HOME: here("curl") });
  env.DOCUMENTS_PATH = env.PATH;
  env.PATH = [...dry, here("bin"), env.PATH].join(":");
  const around = [ownNetwork ? "ip link set lo up" : ":", "bash .run/script </dev/null 3>&-", "echo $? >&3", "read -r _"].join("; ");
  // Not bash: with a socket as input, bash reads the settings of the person who runs this, and may lose PATH.
  const [command, ...args] = [...(ownNetwork ?? []), "sh", "-c", around];
  const into = openSync(output, "a");
  const child = spawn(command, args, { cwd: folder, env, detached: true, stdio: ["pipe", into, into, "pipe"] });
  closeSync(into);
  const left = new Promise((told, failed) => child.on("exit", told).on("error", failed));
  const waiting = new AbortController();
  const code = Promise.race([
    new Promise((told) => child.stdio[3].setEncoding("utf8").on("data", (text) => told(Number(text)))),
    left.then(() => 1),
    sleep(limitMs, undefined, { signal: waiting.signal }),
  ]).finally(() => waiting.abort());
  const leave = () => {
    child.stdin.end();
    return left;
  };
  return { pid: child.pid, code, leave };
}

/** The processes that the blocks started and that still run; `shell` is the process around them. */
function running(folder, shell) {
  if (!existsSync("/proc/self/ns")) return [];
  const read = (path) => {
    try {
      return readlinkSync(path);
    } catch {
      return ""; // it has ended, or is not ours to look at
    }
  };
  const network = read(`/proc/${shell}/ns/net`);
  const isOurs = ownNetwork && network && network !== read("/proc/self/ns/net")
    ? (id) => read(`/proc/${id}/ns/net`) === network
    : (id) => read(`/proc/${id}/cwd`).startsWith(folder);
  const ids = readdirSync("/proc").filter((name) => /^\d+$/.test(name)).map(Number);
  const others = ids.filter((id) => id !== process.pid && id !== shell && isOurs(id));
  return others.map((pid) => ({ pid, name: basename(read(`/proc/${pid}/exe`)) })).filter(({ name }) => name);
}

/** What a block starts, it ends: a reader who pastes the next one must not find its ports taken. */
async function nothingRuns(look, limitMs) {
  const until = Date.now() + limitMs;
  for (;;) {
    const left = look();
    if (!left.length) return;
    if (Date.now() > until) throw new Error(`still running after the last command: ${left.map(({ name }) => name).join(", ")}`);
    await sleep(50);
  }
}

/** Files that the blocks made must not be committed by accident: they may be keys. */
function nothingIsUntracked(folder) {
  const given = ["target", ".run", ".gitignore"];
  const made = readdirSync(folder, { withFileTypes: true }).filter((entry) => !entry.isSymbolicLink() && !given.includes(entry.name));
  if (!made.length) return;
  const git = (...args) => spawnSync("git", ["-C", folder, ...args], { encoding: "utf8" });
  git("init", "--quiet");
  for (const { name } of made) {
    const { status, error } = git("check-ignore", "--no-index", "--quiet", "--", name);
    if (error) throw new Error("git is missing: install it to see whether .gitignore has the files that a block makes");
    if (status !== 0) throw new Error(`it makes ${name}, which .gitignore does not have`);
  }
}

/** Lines like `# {"ok":true, …}` show what is printed: it was, but for `…`, numbers and ids. */
export function isSaid(text, output) {
  for (const [, shown] of text.matchAll(/^# ([{[].*|HTTP\/.*|ask: .*|[a-z]+)$/gm)) {
    const pattern = shown
      .split("…")
      .map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&").replace(/[0-9a-f]{12,}|\d+/g, "[0-9a-f]+"))
      .join(".*");
    if (!new RegExp(pattern).test(output)) throw new Error(`it does not print ${shown}`);
  }
}

/** Without a network of their own the commands need the ports that they name, and those that our servers take by themselves. */
async function portsAreFree(blocks) {
  const text = blocks.map((block) => block.text).join("");
  const named = [...text.matchAll(/(?<=[: ])\d{4,5}\b/g)].map(([port]) => Number(port)).filter((port) => port < 65_536);
  const own = /\bws-node\b|\bmake run\b/.test(text) ? [9000, 9001, 9090, 9091, 9092, 9093, 9094, 9100] : [];
  for (const port of new Set([...named, ...own])) {
    const server = createServer();
    const free = await new Promise((told) => server.once("error", () => told(false)).listen(port, "127.0.0.1", () => told(true)));
    if (!free) throw new Error(`port ${port} is taken, and the commands need it: free it, or run this where a network namespace may be made (Linux with iproute2, as root)`);
    await new Promise((closed) => server.close(closed));
  }
}
