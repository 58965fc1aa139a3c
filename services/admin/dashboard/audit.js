// The audit: who changed what, newest first, from every admin; and the lapses that the servers report.
import { ask, inWords } from "./api.js";
import { byId, keyed, make, write } from "./dom.js";
import { lapses } from "./findings.js";
import { Table, pill, setPill } from "./table.js";
import { whenShown } from "./views.js";
import { absent, clock, plural } from "./words.js";

const PAGE = 50;
const KEPT = 1000;

export class Audit {
  #records = [];
  #next = null;
  #table;

  constructor(live) {
    this.#table = new Table(byId("audit"), "Audit", COLUMNS);
    live.on("begin", () => this.#load());
    live.on("missed", () => this.#load());
    // What other admins recorded does not come by the stream.
    whenShown((view) => view === "activity" && live.snapshot && this.#load());
    live.on("audit", (record) => {
      this.#add([record]);
      this.#show();
    });
    live.on("snapshot", ({ cluster }) => showLapses(cluster));
    byId("audit-filter").addEventListener("input", () => this.#show());
    byId("audit-more").addEventListener("click", () => this.#load(this.#next));
  }

  async #load(cursor = null) {
    try {
      const { records, next, missing = [] } = await ask(`audit?limit=${PAGE}${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`);
      this.#add(records);
      this.#next = next;
      showMissing(missing);
      this.#show();
    } catch (error) {
      write(byId("audit-empty"), `The audit could not be loaded: ${inWords(error)}`);
      byId("audit-empty").hidden = this.#records.length > 0;
    }
  }

  #add(records) {
    const known = new Map(this.#records.map((record) => [keyOf(record), record]));
    for (const record of records) known.set(keyOf(record), record);
    this.#records = [...known.values()].sort((a, b) => Date.parse(b.at) - Date.parse(a.at)).slice(0, KEPT);
  }

  #show() {
    const words = byId("audit-filter").value.toLowerCase().split(/\s+/).filter(Boolean);
    const shown = this.#records.filter((record) => {
      const text = `${record.caller} ${record.role} ${record.admin} ${record.action} ${targetOf(record)} ${resultOf(record)}`.toLowerCase();
      return words.every((word) => text.includes(word));
    });
    this.#table.show(shown, keyOf);
    byId("audit-empty").hidden = shown.length > 0;
    if (this.#records.length) write(byId("audit-empty"), "No record matches the filter.");
    byId("audit-more").hidden = !this.#next;
  }
}

const COLUMNS = [
  { name: "When", kind: "time", text: ({ at }) => clock(at) },
  { name: "Who", text: ({ caller, role }) => (caller === null ? "nobody known" : `${caller} (${role})`) },
  { name: "Did", text: ({ action, count }) => (count > 1 ? `${action}, ${plural(count, "time")}` : action) },
  { name: "To", text: targetOf },
  { name: "Result", create: (record) => pill(resultOf(record)), update: (element, record) => setPill(element, resultOf(record)) },
  { name: "From", text: ({ address }) => address ?? "" },
];

/** A record that stands for several sends is told again with another count. */
function keyOf({ at, admin, caller, action, target, result, traceId }) {
  return JSON.stringify([at, admin, caller, action, target, result, traceId]);
}

function targetOf({ target }) {
  return typeof target === "string" ? target : target ? JSON.stringify(target) : "";
}

function resultOf({ result, status }) {
  return result ?? (status < 400 ? "done" : "rejected");
}

/** What other admins recorded comes only if they answer. */
function showMissing(missing) {
  const words = missing.map(({ server, why }) => `${absent(server, why)}.`);
  write(byId("audit-missing"), words.length ? `Not complete: records are missing here. ${words.join(" ")}` : "");
}

function showLapses(cluster) {
  const all = lapses(cluster.services.flatMap(({ servers }) => servers));
  const create = ({ at, text }) => {
    const element = make("li");
    element.append(make("time", clock(at)), make("span", text));
    return element;
  };
  keyed(byId("lapses"), all, ({ key }) => key, create, () => {});
  byId("lapses-empty").hidden = all.length > 0;
}
