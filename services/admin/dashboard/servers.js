// The servers: state, load and lag of each; drain, resume, rebalance and log level.
import { ask, inWords, path } from "./api.js";
import { permit } from "./caller.js";
import { confirm } from "./dialog.js";
import { button, byId, make, mark, write } from "./dom.js";
import { LEVEL_FIELDS, setLevel } from "./levels.js";
import { tell } from "./notice.js";
import { Table, pill, setPill } from "./table.js";
import { drawIn } from "./views.js";
import { duration, milliseconds, number, plural, rate } from "./words.js";

const ORDERS = {
  name: (a, b) => a.name.localeCompare(b.name, "en", { numeric: true }),
  clients: (a, b) => b.clients - a.clients,
  messages: (a, b) => (b.rates?.messagesOut ?? 0) - (a.rates?.messagesOut ?? 0),
  lag: (a, b) => (b.lagMs?.p99 ?? -1) - (a.lagMs?.p99 ?? -1),
};

export class ServersView {
  #live;
  #table;

  constructor(live) {
    this.#live = live;
    this.#table = new Table(byId("server-table"), "Servers", columns());
    drawIn("servers", live, () => this.#show());
    byId("server-filter").addEventListener("input", () => this.#show());
    byId("server-sort").addEventListener("change", () => this.#show());
  }

  #show() {
    if (!this.#live.snapshot) return;
    const all = serversOf(this.#live.snapshot);
    const words = byId("server-filter").value.toLowerCase().split(/\s+/).filter(Boolean);
    const shown = all.filter((server) => words.every((word) => server.searched.includes(word)));
    shown.sort(ORDERS[byId("server-sort").value]);
    this.#table.show(shown, ({ name }) => name);
    write(byId("server-count"), shown.length === all.length ? plural(all.length, "server") : `${shown.length} of ${plural(all.length, "server")}`);
  }
}

/** What the answers about the cluster and its statistics say about each server. */
function serversOf({ cluster, nodes, stats }) {
  const measured = new Map(stats.servers.map((server) => [server.name ?? server.server, server]));
  const active = nodes.nodes.filter(({ state }) => state === "active" || state === "joining").length;
  return cluster.services.flatMap(({ service, servers }) =>
    servers.map((server) => ({
      ...server,
      service,
      active,
      state: server.state ?? (server.counted ? "serving" : "starting"),
      rates: measured.get(server.name)?.rates,
      lagMs: measured.get(server.name)?.lagMs,
      searched: `${server.name} ${service} ${server.state} ${server.version}`.toLowerCase(),
    })),
  );
}

function columns() {
  return [
    { name: "Server", kind: "name", create: nameCell, update: fillName },
    { name: "State", create: ({ state }) => pill(state), update: (element, { state }) => setPill(element, state) },
    { name: "Clients", kind: "number", text: ({ clients }) => number(clients) },
    { name: "In/s", kind: "number", text: ({ rates }) => rate(rates?.messagesIn) },
    { name: "Out/s", kind: "number", text: ({ rates }) => rate(rates?.messagesOut) },
    { name: "Lag p50 / p99", kind: "number", text: ({ lagMs }) => (lagMs ? `${milliseconds(lagMs.p50)} / ${milliseconds(lagMs.p99)}` : "–") },
    { name: "Hears", kind: "number", text: ({ heard, active }) => `${heard.length} of ${active}` },
    { name: "Runs for", kind: "number", text: ({ startedAt }) => duration(Date.now() - Date.parse(startedAt)) },
    { name: "Actions", hidden: true, kind: "actions", create: actionCell, update: fillActions },
  ];
}

function nameCell({ name }) {
  const element = make("div");
  element.append(make("b", name), make("small"));
  return element;
}

function fillName(element, { service, version }) {
  write(element.lastChild, `${service} ${version}`);
}

function actionCell({ name }) {
  const element = make("div", "", "row");
  const labelled = (text, action) => {
    const control = permit(button(text, action, "quiet small"), "operator");
    control.setAttribute("aria-label", `${text} ${name}`);
    return control;
  };
  element.append(
    labelled("Drain", () => drain(name)),
    labelled("Resume", () => resume(name)),
    labelled("Rebalance", () => rebalance(name)),
    labelled("Log level", () => setLevelOf(name)),
  );
  return element;
}

function fillActions(element, { service, clients, state }) {
  const [drains, resumes, rebalances] = element.children;
  const hasClients = service === "ws-node" || clients > 0;
  drains.hidden = !hasClients || state === "draining";
  resumes.hidden = state !== "draining";
  rebalances.hidden = !hasClients || state === "draining";
  mark(element.closest("tr"), "data-state", state);
}

async function drain(name) {
  const values = await confirm({
    title: `Drain ${name}?`,
    effect: `${name} accepts no new clients and sends its clients away in waves: they reconnect to other servers. It stays empty until you resume or stop it.`,
    action: `Drain ${name}`,
    fields: [{ name: "seconds", label: "Within seconds", type: "number", min: 0, max: 3600, hint: "Empty: as its setting --drain-time says." }],
  });
  if (!values) return;
  const body = values.seconds === "" ? {} : { withinMs: Math.round(Number(values.seconds) * 1000) };
  await order(path`servers/${name}/drain`, body, ({ connections, withinMs }) =>
    `${name} sends ${plural(connections, "client")} away${withinMs ? `; the last one goes in ${duration(withinMs)}` : ""}.`);
}

async function resume(name) {
  await order(path`servers/${name}/resume`, {}, () => `${name} accepts clients again.`);
}

async function rebalance(name) {
  const values = await confirm({
    title: `Rebalance ${name}?`,
    effect: `${name} sends idle clients away so that they reconnect, most of them to servers with fewer clients.`,
    action: `Rebalance ${name}`,
    fields: [{ name: "clients", label: "How many clients", type: "number", min: 1, hint: "Empty: what is above the mean of its service." }],
  });
  if (!values) return;
  const body = values.clients === "" ? {} : { clients: Number(values.clients) };
  await order(path`servers/${name}/rebalance`, body, ({ clients }) => `${name} sends at most ${plural(clients, "idle client")} away.`);
}

async function setLevelOf(name) {
  const values = await confirm({
    title: `Log level of ${name}`,
    effect: "The level falls back by itself after the time.",
    action: "Set",
    danger: false,
    fields: LEVEL_FIELDS,
  });
  if (values) await setLevel(path`servers/${name}/log-level`, values, name);
}

async function order(where, body, words) {
  try {
    tell(words(await ask(where, { method: "POST", body })), "good");
  } catch (error) {
    tell(inWords(error), "bad");
  }
}
