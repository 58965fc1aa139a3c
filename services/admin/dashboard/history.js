// The last minutes or the last hour as columns of numbers: loaded once from admin, then grown by each snapshot.
import { ask, inWords } from "./api.js";
import { worstLag } from "./lag.js";

/** What a node of the bus in one process calls its version. */
const EMBEDDED = "embedded";

const sum = (object) => Object.values(object ?? {}).reduce((all, one) => all + one, 0);

/** A row of the history, from a snapshot. */
function rowOf({ nodes, stats }) {
  const rates = stats.totals?.rates ?? {};
  const lag = worstLag(stats);
  const row = {
    clients: stats.clients,
    messagesIn: rates.messagesIn,
    messagesOut: rates.messagesOut,
    connects: rates.connects,
    disconnects: rates.disconnects,
    errors: sum(stats.errorsPerSecond),
    lagP50Ms: lag?.p50,
    lagP99Ms: lag?.p99,
  };
  for (const { id, facts } of nodes.nodes) {
    row[`nodes.${id}.usedMemoryBytes`] = facts?.usedMemoryBytes;
    row[`nodes.${id}.opsPerSecond`] = facts?.opsPerSecond;
  }
  return row;
}

export class History {
  /** Seconds since 1970. */
  times = [];
  #columns = new Map();
  #stepMs = 1000;
  #loading = null;
  #listeners = [];
  seconds = 300;
  problem = "";
  /** Whether the servers use a bus in their own process: there is no Redis then. */
  isEmbedded = false;
  #gone = new Set();

  constructor(live) {
    live.on("begin", () => this.load());
    live.on("snapshot", (snapshot) => this.#add(snapshot));
  }

  /** Calls `action` whenever there is something new to plot. */
  onChange(action) {
    this.#listeners.push(action);
  }

  /** Shows so many seconds from now on. */
  span(seconds) {
    this.seconds = seconds;
    this.load();
  }

  async load() {
    this.#loading?.abort();
    const loading = new AbortController();
    this.#loading = loading;
    try {
      const { stepMs, columns, rows } = await ask(`stats/history?seconds=${this.seconds}`, { signal: loading.signal });
      const at = columns.indexOf("atMs");
      this.#stepMs = stepMs;
      this.times = rows.map((row) => row[at] / 1000);
      this.#columns = new Map(columns.map((name, i) => [name, rows.map((row) => row[i])]));
      this.problem = "";
    } catch (error) {
      if (loading.signal.aborted) return;
      this.problem = `The history could not be loaded; the plots begin now. ${inWords(error)}`;
    }
    this.#changed();
  }

  /** The values of a column, one for each time; null where unknown. */
  column(name) {
    return this.#columns.get(name) ?? this.times.map(() => null);
  }

  /** A column made of those of all nodes: what `combine` makes of the numbers that are known. */
  ofNodes(what, combine) {
    const columns = this.#nodesEver.map((id) => this.column(`nodes.${id}.${what}`));
    return this.times.map((_, i) => {
      const known = columns.map((values) => values[i]).filter((value) => value !== null);
      return known.length ? combine(known) : null;
    });
  }

  /** The nodes that there are columns of, without those that were removed. */
  get nodes() {
    return this.#nodesEver.filter((id) => !this.#gone.has(id));
  }

  get #nodesEver() {
    const ids = new Set();
    for (const name of this.#columns.keys()) {
      const [, id] = /^nodes\.(.+)\.opsPerSecond$/.exec(name) ?? [];
      if (id !== undefined) ids.add(id);
    }
    return [...ids].sort();
  }

  #add(snapshot) {
    const nodes = snapshot.nodes.nodes;
    this.#gone = new Set(nodes.filter(({ state }) => state === "gone").map(({ id }) => id));
    this.isEmbedded = nodes.some(({ facts }) => facts?.version === EMBEDDED);
    const at = Date.parse(snapshot.asOf) / 1000;
    const last = this.times.at(-1) ?? 0;
    // Half a step of tolerance: snapshots do not come on the dot.
    if (at - last < this.#stepMs / 1000 - 0.5) return;
    const row = rowOf(snapshot);
    for (const name of Object.keys(row)) {
      if (!this.#columns.has(name)) this.#columns.set(name, this.times.map(() => null));
    }
    this.times.push(at);
    for (const [name, values] of this.#columns) values.push(row[name] ?? null);
    const old = this.times.findIndex((time) => time > at - this.seconds);
    if (old > 0) {
      this.times.splice(0, old);
      for (const values of this.#columns.values()) values.splice(0, old);
    }
    this.#changed();
  }

  #changed() {
    for (const action of this.#listeners) action();
  }
}
