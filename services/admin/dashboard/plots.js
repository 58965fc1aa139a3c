// The plots: uPlot (a global of its script) draws columns of the history. Beside each line stands its newest number.
import { byId, colour, keyed, make, mark, write } from "./dom.js";
import { bytes, milliseconds, number, rate } from "./words.js";

const HEIGHT = 150;
/** Colours of lines, in order; a node keeps its colour while the nodes stay. */
const LINES = ["line-1", "line-2", "line-3", "line-4", "line-5", "line-6"];
const DASHES = [[], [6, 4], [2, 3], [10, 3, 2, 3]];

/** Steps of a scale for what is counted: there is no half client. */
const WHOLE = Array.from({ length: 10 }, (_, power) => [1, 2, 5].map((step) => step * 10 ** power)).flat();

/** Steps of a scale of bytes, so close that there are always several. */
const BINARY = Array.from({ length: 32 }, (_, power) => [1, 1.5].map((step) => step * 2 ** (18 + power))).flat();
const wholeBytes = (value) => bytes(value).replace(".0 ", " ");

const SUBJECTS = [
  { id: "clients", title: "Clients", words: number, steps: WHOLE, lines: [["clients", "clients"]] },
  { id: "connects", title: "Connects/s", words: rate, lines: [["connects", "connect"], ["disconnects", "disconnect"]] },
  { id: "messages", title: "Messages/s", words: rate, lines: [["messagesIn", "in"], ["messagesOut", "out"]] },
  { id: "lag", title: "Lag between servers", words: milliseconds, lines: [["lagP50Ms", "p50"], ["lagP99Ms", "p99"]] },
  { id: "errors", title: "Errors/s", words: rate, lines: [["errors", "errors"]] },
];

/** Lines for any number of nodes. */
const TOGETHER = [["all", "all"], ["busiest", "busiest"]];
const COMBINED = {
  all: (history) => history.ofNodes("opsPerSecond", (values) => values.reduce((sum, value) => sum + value, 0)),
  busiest: (history) => history.ofNodes("opsPerSecond", (values) => Math.max(...values)),
};
const valuesOf = (history, column) => COMBINED[column]?.(history) ?? history.column(column);

/** Redis alone tells these; there is nothing to plot without it. */
const OF_NODES = [
  { id: "memory", title: "Memory", words: bytes, marks: wholeBytes, steps: BINARY, least: 2 ** 20, column: (id) => `nodes.${id}.usedMemoryBytes` },
  { id: "operations", title: "Operations/s", words: rate, column: (id) => `nodes.${id}.opsPerSecond` },
];

export class Plots {
  #history;
  #plots;
  #due = false;

  constructor(history) {
    this.#history = history;
    const ofNodes = OF_NODES.map(({ column, ...subject }) => ({ ...subject, ofRedis: true, lines: () => history.nodes.map((id) => [column(id), id]) }));
    this.#plots = [
      ...SUBJECTS.map((subject) => new Plot(byId("plots"), { ...subject, lines: () => subject.lines })),
      new Plot(byId("plots"), { id: "redis", title: "Redis operations/s", words: rate, ofRedis: true, lines: () => TOGETHER }),
      ...ofNodes.map((subject) => new Plot(byId("node-plots"), subject)),
    ];
    history.onChange(() => this.#draw());
    for (const choice of document.querySelectorAll("select.span")) {
      choice.addEventListener("change", () => {
        for (const other of document.querySelectorAll("select.span")) other.value = choice.value;
        history.span(Number(choice.value));
      });
    }
  }

  /** Draws everything again, in the colours of now. */
  paint() {
    for (const plot of this.#plots) plot.forget();
    this.#draw();
  }

  #draw() {
    if (this.#due) return;
    this.#due = true;
    requestAnimationFrame(() => {
      this.#due = false;
      for (const plot of this.#plots) plot.draw(this.#history);
    });
  }
}

class Plot {
  #subject;
  #plot = null;
  #drawn = "";
  #lines = [];
  #figure = make("figure", "", "plot");
  #values = make("ul", "", "values");
  #area = make("div", "", "area");
  #nothing = make("p", "", "empty nothing");

  constructor(parent, subject) {
    this.#subject = subject;
    const caption = make("figcaption");
    caption.append(make("b", subject.title), this.#values);
    this.#area.setAttribute("role", "img");
    this.#values.setAttribute("aria-label", `Newest of ${subject.title}`);
    this.#figure.id = `plot-${subject.id}`;
    this.#nothing.hidden = true;
    this.#figure.append(caption, this.#area, this.#nothing);
    parent.append(this.#figure);
    new ResizeObserver(() => this.#fit()).observe(this.#area);
  }

  forget() {
    this.#plot?.destroy();
    this.#plot = null;
  }

  draw(history) {
    const lines = this.#subject.lines();
    const drawn = JSON.stringify(lines);
    if (drawn !== this.#drawn) this.forget();
    this.#drawn = drawn;
    this.#lines = lines;
    const columns = lines.map(([column]) => valuesOf(history, column));
    this.#tell(history, columns);
    this.#redraw = () => this.draw(history);
    const isEmpty = Boolean(this.#subject.ofRedis) && !columns.some((values) => values.some((value) => value !== null));
    write(this.#nothing, history.isEmbedded ? "No Redis: in-process bus." : "Nothing is known yet.");
    this.#nothing.hidden = !isEmpty;
    this.#area.hidden = isEmpty;
    this.#values.hidden = isEmpty;
    // Many values scroll, so the keyboard must get there.
    if (lines.length > LINES.length) this.#values.tabIndex = 0;
    // Hidden views are drawn when they are shown: ResizeObserver tells it.
    if (!this.#area.clientWidth) return this.forget();
    if (!lines.length) return;
    const data = [history.times, ...columns];
    const now = history.times.at(-1) ?? Date.now() / 1000;
    this.#plot ??= new uPlot(this.#options(history), data, this.#area);
    this.#plot.setData(data, false);
    this.#plot.batch(() => {
      this.#plot.setScale("x", { min: now - history.seconds, max: now });
    });
  }

  #redraw = () => {};

  #fit() {
    if (!this.#area.clientWidth) return;
    if (this.#plot) this.#plot.setSize({ width: this.#area.clientWidth, height: HEIGHT });
    else this.#redraw();
  }

  #tell(history, columns, at = history.times.length - 1) {
    const { words, title } = this.#subject;
    const texts = this.#lines.map(([column, name], i) => ({ column, name, i, text: words(columns[i][at] ?? null) }));
    const create = ({ name, i }) => {
      const element = make("li");
      const key = make("span", "", "swatch");
      key.dataset.colour = LINES[i % LINES.length];
      key.dataset.dash = String(dashOf(i));
      element.append(key, make("span", name), make("b"));
      return element;
    };
    keyed(this.#values, texts, ({ column }) => column, create, (element, { text }) => write(element.lastChild, text));
    const now = texts.map(({ name, text }) => `${name} ${text}`).join(", ") || "nothing is known yet";
    mark(this.#area, "aria-label", `${title}, newest: ${now}`);
  }

  #options(history) {
    const { words, marks = words, steps, least = 1 } = this.#subject;
    const soft = colour("soft");
    const grid = { stroke: colour("line"), width: 1 };
    const axis = { stroke: soft, grid, ticks: { show: false }, font: "11px system-ui, sans-serif" };
    return {
      width: this.#area.clientWidth,
      height: HEIGHT,
      // Half of a time fits to the right of the last one.
      padding: [8, 28, 0, 0],
      legend: { show: false },
      cursor: { sync: { key: "time" }, drag: { x: false, y: false }, points: { size: 6 } },
      hooks: {
        setCursor: [({ cursor }) => this.#tell(history, this.#lines.map(([column]) => valuesOf(history, column)), cursor.idx ?? undefined)],
      },
      scales: { y: { range: (_, min, max) => [0, Math.max(max ?? 0, least) * 1.1] } },
      axes: [
        { ...axis, space: 50, size: 26, values: (_, times) => times.map(timeOfDay) },
        { ...axis, size: 58, space: 32, incrs: steps, values: (_, values) => values.map(marks) },
      ],
      series: [
        {},
        ...this.#lines.map(([, name], i) => ({
          label: name,
          stroke: colour(LINES[i % LINES.length]),
          fill: this.#lines.length === 1 ? colour("fill-1") : undefined,
          dash: DASHES[dashOf(i)],
          width: 1.75,
          spanGaps: false,
          points: { show: false },
        })),
      ],
    };
  }
}

/** Lines of one colour differ by their dashes. */
function dashOf(i) {
  return Math.floor(i / LINES.length) % DASHES.length;
}

function timeOfDay(seconds) {
  return new Date(seconds * 1000).toLocaleTimeString("en-GB").replace(/:00$/, "");
}
