// A real ws-node, for tests: WSMESH_WS_NODE=target/debug/ws-node npm test
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { resolve } from "node:path";
import { createInterface } from "node:readline";

const binary = process.env.WSMESH_WS_NODE && resolve(process.env.INIT_CWD ?? ".", process.env.WSMESH_WS_NODE);

/** Why there is no ws-node, as a test's `skip`. */
export const skip = binary ? false : "WSMESH_WS_NODE does not name a ws-node";

/** A token for the client `id`, signed with the key in a file. */
export const tokenFor = (id, keyFile, ttl = "1h") =>
  execFileSync(binary, ["token", "--id", id, "--ttl", ttl, "--jwt-key-file", keyFile], { env: {}, encoding: "utf8" }).trim();

/** Starts a ws-node in the demo profile with the flags `more`. Returns its address and how to stop it. */
export async function startNode(port = 0, more = []) {
  const args = ["--profile", "demo", "--listen", `127.0.0.1:${port}`, "--ops-listen", "none", "--reconnect-spread", "300ms", ...more];
  // ws-node reads every WSMESH_ variable as a setting, and unknown settings are errors.
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("WSMESH_")));
  const node = spawn(binary, args, { env, stdio: ["ignore", "pipe", "pipe"] });
  const ended = once(node, "exit");
  const stop = async () => {
    node.kill("SIGTERM");
    await ended;
  };
  for (const stream of [node.stdout, node.stderr]) stream.setEncoding("utf8");
  const address = await new Promise((found, failed) => {
    for (const stream of [node.stdout, node.stderr]) {
      createInterface(stream).on("line", (line) => {
        const said = /"message":"accepting clients","address":"([^"]+)"/.exec(line);
        if (said) found(said[1]);
      });
    }
    node.on("exit", (code) => failed(new Error(`ws-node ended with ${code}`)));
  });
  return { address, stop };
}
