// The Redis nodes: the state and the facts of each as a card, and draining one.
import { ask, inWords, path } from "./api.js";
import { permit } from "./caller.js";
import { confirm } from "./dialog.js";
import { button, byId, keyed, make, mark, write } from "./dom.js";
import { tell } from "./notice.js";
import { pill, setPill } from "./table.js";
import { drawIn } from "./views.js";
import { bytes, clock, duration, milliseconds, number, plural, rate } from "./words.js";

export class NodesView {
  #live;
  #jobs;

  constructor(live, jobs) {
    this.#live = live;
    this.#jobs = jobs;
    drawIn("nodes", live, () => this.#show());
    byId("node-filter").addEventListener("input", () => this.#show());
  }

  #show() {
    if (!this.#live.snapshot) return;
    const all = this.#live.snapshot.nodes.nodes;
    const wanted = byId("node-filter").value.toLowerCase();
    const shown = all.filter(({ id, state, addresses }) => `${id} ${state} ${addresses.join(" ")}`.toLowerCase().includes(wanted));
    // Stable: those that were removed come last.
    shown.sort((a, b) => Number(a.state === "gone") - Number(b.state === "gone"));
    keyed(byId("node-cards"), shown, ({ id }) => id, (node) => this.#card(node), fill);
    byId("nodes-empty").hidden = shown.length > 0;
    write(byId("nodes-empty"), all.length ? "No Redis node matches the filter." : "No Redis node is known yet.");
    const gone = all.filter(({ state }) => state === "gone").length;
    const many = gone ? `${plural(all.length - gone, "Redis node")}, ${number(gone)} removed` : plural(all.length, "Redis node");
    write(byId("node-count"), shown.length === all.length ? many : `${shown.length} shown of ${many}`);
  }

  #card({ id }) {
    const card = make("article", "", "node");
    card.setAttribute("aria-label", `Redis ${id}`);
    const head = make("div", "", "bar");
    const remove = permit(button("Drain", () => this.#drain(id), "quiet small danger"), "operator");
    remove.setAttribute("aria-label", `Drain ${id}`);
    head.append(make("h3", id), pill("joining"), remove);
    const memory = make("div", "", "memory");
    const meter = make("meter");
    meter.setAttribute("aria-label", `Memory of ${id}`);
    memory.append(meter, make("span"));
    const more = make("details");
    more.append(make("summary", "More"), make("ul", "", "pairs"), make("ol", "", "lines"));
    card.append(head, make("p", "", "hint where"), make("p", "", "bad"), make("dl", "", "facts"), memory, more);
    card.parts = { head, remove, where: card.children[1], problem: card.children[2], facts: card.children[3], memory, more };
    return card;
  }

  async #drain(id) {
    const sure = await confirm({
      title: `Drain the Redis ${id}?`,
      effect: `No server publishes through ${id} any more; after the replay window it is removed from the cluster, and its process may be stopped. No message is lost.`,
      action: `Drain ${id}`,
    });
    if (!sure) return;
    try {
      this.#jobs.follow(await ask(path`nodes/${id}`, { method: "DELETE" }));
      tell(`${id} drains. The view Activity shows how far it is.`, "good");
    } catch (error) {
      tell(inWords(error), "bad");
    }
  }
}

function fill(card, { id, url, state, addresses, heardBy, notHeardBy, rttMs, slow, facts, factsError }) {
  const { head, remove, where, problem, memory, more } = card.parts;
  const all = heardBy.length + notHeardBy.length;
  const deaf = state !== "gone" && state !== "draining" && notHeardBy.length > 0;
  setPill(head.children[1], deaf && heardBy.length === 0 ? "unreachable" : slow ? "slow" : (state ?? "unknown"));
  remove.hidden = state === "draining" || state === "gone";
  mark(card, "data-state", deaf ? "trouble" : slow ? "slow" : state);
  write(where, addresses.join(", ") || url || "no server knows its address");
  const errors = [...new Set(notHeardBy.map(({ error }) => error).filter(Boolean))];
  const lines = [];
  if (deaf) lines.push(`Not heard by ${plural(notHeardBy.length, "server")}${errors.length ? `: ${errors.slice(0, 2).join("; ")}` : ""}.`);
  if (slow) lines.push(`Slow: ${slow}.`);
  if (factsError && state !== "gone") lines.push(`No facts: ${factsError}`);
  write(problem, lines.join(" "));
  const pairs = [
    ["Heard by", `${heardBy.length} of ${all}`],
    ["Round trip", milliseconds(rttMs)],
    ["Operations", facts ? perSecond(facts.opsPerSecond, rate) : "–"],
    ["In", facts ? perSecond(facts.bytesInPerSecond, bytes) : "–"],
    ["Out", facts ? perSecond(facts.bytesOutPerSecond, bytes) : "–"],
    ["Connections", number(facts?.clients)],
    ["Channels", number(facts?.pubsubChannels)],
  ];
  fillPairs(card.parts.facts, pairs);
  card.parts.facts.hidden = state === "gone";
  const shown = state === "gone" ? null : facts;
  fillMemory(memory, shown);
  more.hidden = !shown;
  if (shown) fillMore(more, shown);
}

const perSecond = (value, words) => (value === null ? "–" : `${words(value)}/s`);

function fillPairs(list, pairs) {
  const create = ([name]) => {
    const element = make("div");
    element.append(make("dt", name), make("dd"));
    return element;
  };
  keyed(list, pairs, ([name]) => name, create, (element, [, value]) => write(element.lastChild, value));
}

function fillMemory(memory, facts) {
  // The bus in one process has none.
  memory.hidden = (facts?.usedMemoryBytes ?? null) === null;
  if (memory.hidden) return;
  const [meter, text] = memory.children;
  const { usedMemoryBytes: used, maxMemoryBytes: most } = facts;
  meter.hidden = !most;
  if (most) {
    meter.max = most;
    meter.high = most * 0.85;
    meter.optimum = 0;
    meter.value = used;
  }
  write(text, most ? `${bytes(used)} of ${bytes(most)}` : `${bytes(used)} memory${most === 0 ? ", no limit" : ""}`);
}

function fillMore(more, facts) {
  const [, list, slow] = more.children;
  const pairs = [
    ["Version", facts.version ?? "–"],
    ["Role", facts.role ?? "–"],
    ["Runs for", facts.uptimeSeconds === null ? "–" : duration(facts.uptimeSeconds * 1000)],
    ["Patterns", number(facts.pubsubPatterns)],
    ["Evicted keys", number(facts.evictedKeys)],
    ["Rejected connections", number(facts.rejectedConnections)],
    ...(facts.outputBuffers ?? []).filter(({ bytes: waiting }) => waiting > 0).map(({ server, bytes: waiting }) => [`Waits for ${server}`, bytes(waiting)]),
  ];
  const create = ([name]) => {
    const element = make("li");
    element.append(make("span", name), make("b"));
    return element;
  };
  keyed(list, pairs, ([name]) => name, create, (element, [, value]) => write(element.lastChild, String(value)));
  const line = ({ atMs, micros, command }) => {
    const element = make("li");
    element.append(make("time", clock(atMs)), make("span", `slow: ${command}, ${milliseconds(micros / 1000)}`));
    return element;
  };
  keyed(slow, facts.slowLog ?? [], ({ atMs, micros, command }) => `${atMs} ${micros} ${command}`, line, () => {});
}
