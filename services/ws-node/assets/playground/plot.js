// The latency plot: round trips of heartbeats and requests over the last minute.
import { byId, colour, milliseconds, penOf } from "./dom.js";

const SPAN_MS = 60_000;
const KEPT = 5000;
const DRAW_EVERY_MS = 250;
const LEFT = 44;
const BOTTOM = 20;
const TOP = 8;

export class Plot {
  #points = { heartbeat: [], request: [] };
  #pinged = 0;

  constructor() {
    setInterval(() => {
      if (!document.hidden) this.#draw();
    }, DRAW_EVERY_MS);
    this.#draw();
  }

  /** Adds the time of a round trip; `kind` is "heartbeat" or "request". */
  add(kind, ms) {
    const points = this.#points[kind];
    points.push({ at: performance.now(), ms });
    if (points.length > KEPT) points.shift();
    if (kind === "heartbeat") byId("latency").textContent = milliseconds(ms);
  }

  /** Measures heartbeats with the times of tap.js, which are finer than the whole milliseconds of the SDK. */
  watch({ kind, text, at }) {
    if (kind === "note") this.#pinged = 0;
    else if (text === "" && kind === "out") this.#pinged = at;
    else if (text === "" && this.#pinged) {
      this.add("heartbeat", at - this.#pinged);
      this.#pinged = 0;
    }
  }

  #draw() {
    const now = performance.now();
    let highest = 0;
    for (const [kind, points] of Object.entries(this.#points)) {
      while (points.length && points[0].at < now - SPAN_MS) points.shift();
      for (const { ms } of points) highest = Math.max(highest, ms);
      this.#numbers(kind, points);
    }
    const { pen, width, height } = penOf(byId("plot"));
    const top = niceTop(highest);
    const x = (at) => LEFT + (width - LEFT - 8) * (1 - (now - at) / SPAN_MS);
    const y = (ms) => TOP + (height - TOP - BOTTOM) * (1 - ms / top);
    this.#axes(pen, width, height, top, y, (ago) => x(now - ago));
    pen.fillStyle = colour("series-request");
    for (const { at, ms } of this.#points.request) pen.fillRect(x(at) - 2, y(ms) - 2, 4, 4);
    pen.strokeStyle = pen.fillStyle = colour("series-heartbeat");
    pen.lineWidth = 1.5;
    pen.beginPath();
    for (const { at, ms } of this.#points.heartbeat) pen.lineTo(x(at), y(ms));
    pen.stroke();
    for (const { at, ms } of this.#points.heartbeat) {
      pen.beginPath();
      pen.arc(x(at), y(ms), 2.5, 0, 2 * Math.PI);
      pen.fill();
    }
  }

  #axes(pen, width, height, top, y, xOfAgo) {
    pen.font = "11px system-ui, sans-serif";
    pen.fillStyle = colour("soft");
    pen.strokeStyle = colour("line");
    pen.lineWidth = 1;
    pen.textAlign = "right";
    pen.textBaseline = "middle";
    for (const share of [0, 0.5, 1]) {
      const at = Math.round(y(top * share)) + 0.5;
      pen.beginPath();
      pen.moveTo(LEFT, at);
      pen.lineTo(width - 8, at);
      pen.stroke();
      pen.fillText(share === 0 ? "0" : `${top * share} ms`, LEFT - 6, at);
    }
    pen.textBaseline = "bottom";
    for (const [ago, text, align] of [[SPAN_MS, "60 s ago", "left"], [SPAN_MS / 2, "30 s", "center"], [0, "now", "right"]]) {
      pen.textAlign = align;
      pen.fillText(text, xOfAgo(ago), height - 2);
    }
  }

  #numbers(kind, points) {
    const sorted = points.map(({ ms }) => ms).sort((a, b) => a - b);
    const at = (share) => (sorted.length ? milliseconds(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]) : "–");
    byId(`${kind}-last`).textContent = points.length ? milliseconds(points[points.length - 1].ms) : "–";
    byId(`${kind}-median`).textContent = at(0.5);
    byId(`${kind}-p99`).textContent = at(0.99);
  }
}

/** The end of the scale: 1, 2 or 5 times a power of ten. */
function niceTop(highest) {
  const least = Math.max(highest * 1.1, 2);
  const power = 10 ** Math.floor(Math.log10(least));
  return [1, 2, 5, 10].map((factor) => factor * power).find((top) => top >= least);
}
