// Sends any event, with or without waiting for a reply; shows the time, the reply and the error code.
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
  #traces;

  constructor(connection, plot, traces) {
    this.#connection = connection;
    this.#plot = plot;
    this.#traces = traces;
    const example = byId("example");
    EXAMPLES.forEach(([, , title], index) => example.append(new Option(title, String(index))));
    example.addEventListener("change", () => this.#fill(EXAMPLES[Number(example.value)]));
    this.#fill(EXAMPLES[0]);
    onSubmit("request", () => this.#request());
    byId("hundred").addEventListener("click", () => this.#requestOften());
    byId("emit").addEventListener("click", () => this.#emit());
  }

  #fill([event, payload]) {
    byId("event").value = event;
    byId("payload").value = JSON.stringify(payload);
  }

  /** The form's event and payload; undefined if the payload is not JSON, which is shown. */
  #read() {
    const event = byId("event").value.trim();
    const text = byId("payload").value.trim();
    try {
      byId("payload").ariaInvalid = "false";
      return { event, payload: text === "" ? {} : JSON.parse(text) };
    } catch (error) {
      byId("payload").ariaInvalid = "true";
      this.#show("bad", "The payload is not JSON", error.message);
      return undefined;
    }
  }

  /** Sends one request and waits; returns its time, its reply or error, and the id of its trace, which `sent` gets before the reply. */
  async #timed({ event, payload }, sent = () => {}) {
    const start = performance.now();
    let reply;
    let error;
    const [asked, trace] = this.#traces.during(() => this.#connection.request(event, payload));
    sent(trace);
    try {
      reply = await asked;
    } catch (caught) {
      error = caught;
    }
    const ms = performance.now() - start;
    // An error of the server is a round trip, too; an error of the SDK itself is not.
    if (!error || !/^(WS_|CALLBACK_TIMEOUT|TOO_MANY|BAD_PAYLOAD$)/.test(error.errorCode)) this.#plot.add("request", ms);
    return { ms, reply, error, trace };
  }

  async #request() {
    const wanted = this.#read();
    if (!wanted) return;
    // A request that takes long is the one whose trace is wanted.
    const waiting = (trace) => trace && this.#show("", `Waiting for the reply to ${wanted.event}`, "", trace);
    const { ms, reply, error, trace } = await this.#timed(wanted, waiting);
    if (error) this.#show("bad", `${wanted.event} · ${milliseconds(ms)} · ${error.errorCode}`, error.error ?? error.message, trace);
    else this.#show("good", `${wanted.event} · ${milliseconds(ms)} · ok`, JSON.stringify(reply, null, 2), trace);
  }

  async #requestOften() {
    const wanted = this.#read();
    if (!wanted) return;
    const times = [];
    const errors = new Map();
    for (let i = 0; i < TIMES && this.#connection.client?.isOpen; i++) {
      const { ms, error } = await this.#timed(wanted);
      times.push(ms);
      if (error) errors.set(error.errorCode, (errors.get(error.errorCode) ?? 0) + 1);
    }
    if (times.length === 0) return;
    times.sort((a, b) => a - b);
    const at = (share) => milliseconds(times[Math.min(times.length - 1, Math.floor(times.length * share))]);
    const codes = [...errors].map(([code, count]) => `${count} × ${code}`).join(", ");
    const summary = `fastest ${at(0)}, median ${at(0.5)}, p99 ${at(0.99)}, slowest ${at(1)}`;
    this.#show(errors.size ? "bad" : "good", `${wanted.event} × ${times.length} · ${codes || "ok"}`, summary);
  }

  #emit() {
    const wanted = this.#read();
    if (!wanted) return;
    const sent = this.#connection.client?.emit(wanted.event, wanted.payload);
    this.#show(sent ? "good" : "bad", `${wanted.event} · ${sent ? "sent" : "not sent"}`, sent ? "An answer, if there is one, appears on the wire below." : "There is no connection.");
  }

  #show(kind, title, text, trace) {
    byId("outcome").replaceChildren(make("p", title, `title ${kind}`), make("pre", text));
    if (trace) byId("outcome").append(this.#traces.link(trace));
  }
}
