// Any event, asked or sent, with its time, reply and error code.
import { byId, make, milliseconds, onSubmit } from "./dom.js";

const EXAMPLES = [
  ["echo", { msg: "hello" }, "echo: the ws-node answers"],
  ["gamePing", {}, "gamePing: game-logic answers"],
  ["command", { action: "broadcast", msg: "hello, everyone" }, "command: a push to everyone"],
  ["joinRoom", { roomId: "lobby" }, "joinRoom"],
  ["leaveRoom", { roomId: "lobby" }, "leaveRoom"],
  ["matchInput", { match: "0-0", direction: { x: 1, y: 0 } }, "matchInput: no such match"],
  ["nobody", {}, "nobody: an event that nobody handles"],
];
const TIMES = 100;

export class RequestPanel {
  #connection;
  #plot;

  constructor(connection, plot) {
    this.#connection = connection;
    this.#plot = plot;
    const example = byId("example");
    EXAMPLES.forEach(([, , title], index) => example.append(new Option(title, String(index))));
    example.addEventListener("change", () => this.#fill(EXAMPLES[Number(example.value)]));
    this.#fill(EXAMPLES[0]);
    onSubmit("request", () => this.#ask());
    byId("hundred").addEventListener("click", () => this.#askOften());
    byId("emit").addEventListener("click", () => this.#emit());
  }

  #fill([event, payload]) {
    byId("event").value = event;
    byId("payload").value = JSON.stringify(payload);
  }

  /** The form's event and payload; nothing when the payload is no JSON, which is told. */
  #read() {
    const event = byId("event").value.trim();
    const text = byId("payload").value.trim();
    try {
      byId("payload").ariaInvalid = "false";
      return { event, payload: text === "" ? {} : JSON.parse(text) };
    } catch (error) {
      byId("payload").ariaInvalid = "true";
      this.#show("bad", "The payload is no JSON", error.message);
      return undefined;
    }
  }

  /** Sends one request and waits: its time, and its reply or what went wrong. */
  async #timed({ event, payload }) {
    const start = performance.now();
    let reply;
    let error;
    try {
      reply = await this.#connection.request(event, payload);
    } catch (refused) {
      error = refused;
    }
    const ms = performance.now() - start;
    // A refusal by the server is a round trip, too; what the SDK says by itself is none.
    if (!error || !/^(WS_|CALLBACK_TIMEOUT|TOO_MANY|BAD_PAYLOAD$)/.test(error.errorCode)) this.#plot.add("request", ms);
    return { ms, reply, error };
  }

  async #ask() {
    const wish = this.#read();
    if (!wish) return;
    const { ms, reply, error } = await this.#timed(wish);
    if (error) this.#show("bad", `${wish.event} · ${milliseconds(ms)} · ${error.errorCode}`, error.error ?? error.message);
    else this.#show("good", `${wish.event} · ${milliseconds(ms)} · ok`, JSON.stringify(reply, null, 2));
  }

  async #askOften() {
    const wish = this.#read();
    if (!wish) return;
    const times = [];
    const errors = new Map();
    for (let i = 0; i < TIMES && this.#connection.client?.isOpen; i++) {
      const { ms, error } = await this.#timed(wish);
      times.push(ms);
      if (error) errors.set(error.errorCode, (errors.get(error.errorCode) ?? 0) + 1);
    }
    if (times.length === 0) return;
    times.sort((a, b) => a - b);
    const at = (share) => milliseconds(times[Math.min(times.length - 1, Math.floor(times.length * share))]);
    const codes = [...errors].map(([code, count]) => `${count} × ${code}`).join(", ");
    const summary = `fastest ${at(0)}, median ${at(0.5)}, p99 ${at(0.99)}, slowest ${at(1)}`;
    this.#show(errors.size ? "bad" : "good", `${wish.event} × ${times.length} · ${codes || "ok"}`, summary);
  }

  #emit() {
    const wish = this.#read();
    if (!wish) return;
    const sent = this.#connection.client?.emit(wish.event, wish.payload);
    this.#show(sent ? "good" : "bad", `${wish.event} · ${sent ? "sent" : "not sent"}`, sent ? "What comes back, if anything, is on the wire below." : "There is no connection.");
  }

  #show(kind, title, text) {
    byId("outcome").replaceChildren(make("p", title, `title ${kind}`), make("pre", text));
  }
}
