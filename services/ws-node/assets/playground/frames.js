// The frame inspector: shows every frame of the connection, the newest first.
import { byId, bytes, clock, make } from "./dom.js";

/** Most frames that are kept, most bytes of them, and most lines that are shown. */
const KEPT = 1000;
const KEPT_BYTES = 8 * 1024 * 1024;
const SHOWN = 250;

export class FrameInspector {
  #frames = [];
  #count = { in: 0, out: 0 };
  #bytes = { in: 0, out: 0 };
  #keptBytes = 0;
  #encoder = new TextEncoder();
  #paused = false;
  /** How many of the newest frames are not drawn yet. */
  #fresh = 0;
  #drawRequested = false;

  #traces;

  constructor(traces) {
    this.#traces = traces;
    for (const id of ["filter", "show-in", "show-out", "show-heartbeats", "pretty"]) {
      byId(id).addEventListener("input", () => this.#drawAll());
    }
    byId("clear").addEventListener("click", () => this.#clear());
    byId("pause").addEventListener("click", () => this.#pause());
  }

  /** Adds a frame, or a note on the connection, as tap.js reports it. */
  add({ kind, text }) {
    const size = this.#encoder.encode(text).length;
    if (kind !== "note") {
      this.#count[kind] += 1;
      this.#bytes[kind] += size;
    }
    this.#frames.push({ kind, text, size, time: clock() });
    this.#keptBytes += size;
    const full = () => this.#frames.length > KEPT || this.#keptBytes > KEPT_BYTES;
    while (this.#frames.length > 1 && full()) this.#keptBytes -= this.#frames.shift().size;
    this.#fresh = Math.min(this.#fresh + 1, this.#frames.length);
    this.#draw();
  }

  /** Draws with the next animation frame: a match sends dozens of frames per second. */
  #draw() {
    if (this.#drawRequested) return;
    this.#drawRequested = true;
    requestAnimationFrame(() => {
      this.#drawRequested = false;
      this.#totals();
      if (this.#paused || this.#fresh === 0) return;
      const fresh = this.#frames.slice(-this.#fresh).filter((frame) => this.#fits(frame));
      this.#fresh = 0;
      const list = byId("frames");
      list.prepend(...fresh.slice(-SHOWN).reverse().map((frame) => this.#line(frame)));
      while (list.childElementCount > SHOWN) list.lastElementChild.remove();
    });
  }

  /** Draws all kept frames again, without those that came during a pause that is not over. */
  #drawAll() {
    const seen = this.#paused ? this.#frames.slice(0, this.#frames.length - this.#fresh) : this.#frames;
    if (!this.#paused) this.#fresh = 0;
    const lines = seen.filter((frame) => this.#fits(frame)).slice(-SHOWN).reverse();
    byId("frames").replaceChildren(...lines.map((frame) => this.#line(frame)));
  }

  #fits({ kind, text }) {
    if (kind === "note") return true;
    if (!byId(`show-${kind}`).checked) return false;
    if (text === "" && !byId("show-heartbeats").checked) return false;
    return text.toLowerCase().includes(byId("filter").value.trim().toLowerCase());
  }

  #line({ kind, text, size, time }) {
    const line = make("li", "", kind);
    if (kind === "note") {
      line.append(make("time", time), make("span", text, "text"));
      return line;
    }
    const direction = make("span", kind === "in" ? "← in" : "→ out", "direction");
    line.append(make("time", time), direction, make("span", bytes(size), "size"));
    const trace = kind === "out" && this.#traces.idIn(text);
    line.append(text === "" ? make("span", "heartbeat (the empty text)", "text soft") : make("code", this.#shown(text), "text"));
    if (trace) line.append(this.#traces.link(trace));
    return line;
  }

  #shown(text) {
    if (!byId("pretty").checked) return text;
    try {
      return JSON.stringify(JSON.parse(text), null, 2);
    } catch {
      return text;
    }
  }

  #totals() {
    const part = (kind) => `${this.#count[kind].toLocaleString("en")} ${kind} (${bytes(this.#bytes[kind])})`;
    const waiting = this.#paused && this.#fresh > 0 ? ` · ${this.#fresh} came during the pause` : "";
    byId("totals").textContent = `${part("in")} · ${part("out")}${waiting}`;
  }

  #pause() {
    this.#paused = !this.#paused;
    byId("pause").ariaPressed = String(this.#paused);
    byId("pause").textContent = this.#paused ? "Continue" : "Pause";
    this.#totals();
    if (!this.#paused) this.#drawAll();
  }

  #clear() {
    this.#frames.length = this.#fresh = this.#keptBytes = 0;
    this.#count = { in: 0, out: 0 };
    this.#bytes = { in: 0, out: 0 };
    this.#drawAll();
    this.#totals();
  }
}
