// A WebSocket server that does what a test says, over real sockets.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { createServer as createTcpServer } from "node:net";
import { WebSocketServer } from "ws";

/** A queue of received things. `next` waits without a timer, so that the test's clock can stand still. */
export class Inbox {
  #items = [];
  #waiting = [];

  put(item) {
    const waiting = this.#waiting.shift();
    if (waiting) waiting(item);
    else this.#items.push(item);
  }

  next() {
    if (this.#items.length) return Promise.resolve(this.#items.shift());
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  get size() {
    return this.#items.length;
  }
}

/** The server's side of one connection. */
class Peer {
  #frames = new Inbox();

  constructor(socket, request) {
    this.socket = socket;
    this.path = request.url;
    this.protocol = socket.protocol;
    socket.on("message", (data, isBinary) => this.#frames.put({ text: isBinary ? undefined : String(data) }));
    socket.on("close", (code, reason) => this.#frames.put({ code, reason: String(reason) }));
    socket.on("error", () => {});
  }

  /** The next text frame. */
  async read() {
    const frame = await this.#frames.next();
    assert.equal(typeof frame.text, "string", `not a text frame: ${JSON.stringify(frame)}`);
    return frame.text;
  }

  async json() {
    return JSON.parse(await this.read());
  }

  /** Frames that were read from the socket and not taken yet. */
  get unread() {
    return this.#frames.size;
  }

  say(frame) {
    this.socket.send(typeof frame === "string" ? frame : JSON.stringify(frame));
  }

  /** Reads a request and replies. */
  async reply(payload) {
    const { callbackId } = await this.json();
    this.say({ payload, callbackId });
  }

  /** Code and reason that the client closes with. */
  async closed() {
    const frame = await this.#frames.next();
    assert.ok("code" in frame, `not a close: ${JSON.stringify(frame)}`);
    return [frame.code, frame.reason];
  }

  /** Ends the connection without a close frame. */
  drop() {
    this.socket.terminate();
  }
}

export class Server {
  #tcp = new Inbox();
  #open = new Set();
  #http = createServer();
  #ws = new WebSocketServer({ noServer: true });

  static async start() {
    const server = new Server();
    await new Promise((resolve) => server.listener.listen(0, "127.0.0.1", resolve));
    server.url = `ws://127.0.0.1:${server.listener.address().port}/chat`;
    return server;
  }

  constructor() {
    this.listener = createTcpServer((socket) => {
      this.#open.add(socket);
      socket.on("close", () => this.#open.delete(socket));
      socket.on("error", () => {});
      this.#tcp.put(socket);
    });
  }

  /** Connections that nobody took yet. */
  get knocking() {
    return this.#tcp.size;
  }

  /** The next connection, as a WebSocket. */
  async accept() {
    const tcp = await this.#tcp.next();
    return new Promise((resolve) => {
      this.#http.once("upgrade", (request, socket, head) => {
        this.#ws.handleUpgrade(request, socket, head, (ws) => resolve(new Peer(ws, request)));
      });
      this.#http.emit("connection", tcp);
    });
  }

  /** The next connection is cut. */
  async refuse() {
    (await this.#tcp.next()).destroy();
  }

  /** The next connection is left without an answer. */
  async leaveWaiting() {
    await this.#tcp.next();
  }

  async stop() {
    for (const socket of this.#open) socket.destroy();
    await new Promise((resolve) => this.listener.close(resolve));
  }
}
