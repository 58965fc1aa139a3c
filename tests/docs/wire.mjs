// A client without an SDK: what it sends and gets are frames as they are on the wire.
import { once } from "node:events";
import { createRequire } from "node:module";
import { root } from "./blocks.mjs";

const WebSocket = createRequire(`${root}/services/connector-js/package.json`)("ws");
const LIMIT_MS = 20_000;

export class Wire {
  /** Frames that were neither a reply that was waited for nor a heartbeat. */
  pushes = [];
  #waiting = [];

  constructor(socket) {
    this.socket = socket;
    socket.on("message", (data) => this.#take(String(data)));
  }

  static async connect(url) {
    const socket = new WebSocket(url);
    const wire = new Wire(socket);
    await once(socket, "open");
    return wire;
  }

  #take(text) {
    const frame = text === "" ? "" : JSON.parse(text);
    const index = this.#waiting.findIndex(({ wanted }) => wanted(frame));
    if (index >= 0) return this.#waiting.splice(index, 1)[0].found(frame);
    if (frame) this.pushes.push(frame);
  }

  #send(text, wanted) {
    const answer = new Promise((found, failed) => {
      const timer = setTimeout(() => failed(new Error(`no answer to ${text}`)), LIMIT_MS);
      this.#waiting.push({ wanted, found: (frame) => (clearTimeout(timer), found(frame)) });
    });
    this.socket.send(text);
    return answer;
  }

  /** Sends a frame with a callbackId; resolves to the reply. */
  request(frame) {
    return this.#send(JSON.stringify(frame), ({ callbackId }) => callbackId === frame.callbackId);
  }

  /** Sends a frame; resolves to the push that it causes. */
  push(frame) {
    return this.#send(JSON.stringify(frame), ({ event }) => event !== undefined);
  }

  /** Sends a heartbeat; resolves to what comes back. */
  beat() {
    return this.#send("", (frame) => frame === "");
  }

  leave() {
    this.socket.terminate();
  }
}
