// Watching one client: what happens to it, wherever it is connected, as admin streams it.
import { inWords, open, path } from "./api.js";
import { may } from "./caller.js";
import { byId, make, write } from "./dom.js";
import { read } from "./stream.js";
import { bytes, clock, duration, milliseconds } from "./words.js";

const KEPT = 1000;

/** What each event says beside its time and server. */
const WORDS = {
  connected: ({ already }) => (already ? "is connected" : "connected"),
  closed: ({ code, reason, lastedMs }) => words("closed", code, quoted(reason), lastedMs && `after ${duration(lastedMs)}`),
  joined: (data) => words(data.already ? "is in" : "joined", roomOf(data)),
  left: (data) => words("left", roomOf(data)),
  in: ({ event, what }) => words("sent", event ?? what ?? "a message"),
  out: ({ event, what }) => words("got", event ?? what ?? "a message"),
  reply: ({ event, code }) => words("got the reply", event && `to ${event}`, code && `: error ${code}`),
  dropped: ({ event, reason, count }) => words("dropped", count, event, reason && `: ${reason}`),
  slow: () => "reads too slowly: its connection takes no more for now",
  ping: ({ rttMs }) => words("answered a ping in", milliseconds(rttMs)),
  gone: () => "its server is gone",
  lost: ({ count }) => words(count, "more things happened; they were too many to report"),
};
const MOODS = { connected: "good", closed: "bad", dropped: "bad", slow: "warn", gone: "bad", lost: "warn" };

export class Watch {
  #running = null;
  #id = "";
  #until = null;

  constructor() {
    byId("watch-stop").addEventListener("click", () => this.#end("Stopped."));
    byId("watch-clear").addEventListener("click", () => byId("watched").replaceChildren());
    byId("watch-heartbeats").addEventListener("change", ({ target }) => byId("watched").classList.toggle("quiet", !target.checked));
    byId("watch-payloads").addEventListener("change", () => this.#running && this.start(this.#id));
  }

  /** Follows this client from now on. */
  async start(id) {
    this.#running?.abort();
    const running = new AbortController();
    this.#running = running;
    if (id !== this.#id) byId("watched").replaceChildren();
    this.#id = id;
    byId("watch").hidden = false;
    byId("watch-title").textContent = `Watching ${id}`;
    byId("watch-stop").hidden = false;
    say(`Asking the servers to report what happens to ${id} …`);
    const payloads = byId("watch-payloads").checked && may("operator");
    try {
      const answer = await open(`${path`clients/${id}/watch`}${payloads ? "?payloads=true" : ""}`, running.signal);
      let why = "";
      await read(answer, (name, data) => {
        if (running.signal.aborted) return;
        if (name === "watching") this.#until = data.until;
        if (name === "watching" || name === "servers") this.#told(data);
        else if (name === "ended") why = data.why;
        else add(name, data);
      });
      if (!running.signal.aborted) this.#end(why ? `Ended: ${why}` : "The stream ended. Watch again to go on.");
    } catch (error) {
      if (!running.signal.aborted) this.#end(inWords(error));
    }
  }

  /** Ends it and forgets what was seen. */
  stop() {
    this.#end("");
    this.#id = "";
    byId("watched").replaceChildren();
    byId("watch").hidden = true;
  }

  #told({ missing = [] }) {
    const silent = missing.map((one) => one.server ?? one).join(", ");
    say(`Following ${this.#id} wherever it is connected, until ${clock(this.#until)}.${silent ? ` Not reported by: ${silent}.` : ""}`);
  }

  #end(why) {
    this.#running?.abort();
    this.#running = null;
    byId("watch-stop").hidden = true;
    say(why);
  }
}

function add(name, data) {
  const { at, server, node, what, bytes: size, queuedMs, payload, cut } = data;
  const more = [
    size > 0 && bytes(size),
    queuedMs !== undefined && queuedMs !== null && `${milliseconds(queuedMs)} in the queue`,
    node && `through ${node}`,
    server && `on ${server}`,
  ].filter(Boolean);
  const line = make("li");
  line.dataset.kind = name;
  if (what) line.dataset.what = what;
  if (MOODS[name]) line.dataset.mood = MOODS[name];
  const text = make("span");
  text.append(make("b", WORDS[name]?.(data) ?? name), make("small", more.join(", ")));
  if (payload !== undefined && payload !== null) text.append(make("code", `${typeof payload === "string" ? payload : JSON.stringify(payload)}${cut ? " …" : ""}`));
  line.append(make("time", clock(at)), text);
  const list = byId("watched");
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
  list.append(line);
  while (list.childElementCount > KEPT) list.firstElementChild.remove();
  if (atEnd) list.scrollTop = list.scrollHeight;
}

const words = (...parts) => parts.filter((part) => part !== undefined && part !== null && part !== "" && part !== false).join(" ").replace(" :", ":");
const quoted = (text) => text && `"${text}"`;
const roomOf = ({ namespace, roomId }) => [namespace, roomId].filter(Boolean).join("/") || "a room";

function say(text) {
  write(byId("watch-notice"), text);
}
