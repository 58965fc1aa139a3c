// Who hears whom: a row for each server, a column for each Redis node. Colour and shape say the same.
import { byId, keyed, make, mark, write } from "./dom.js";
import { drawIn } from "./views.js";
import { milliseconds, plural } from "./words.js";

/** The state of a cell, and what it means; style.css has its sign and colour. */
const MEANINGS = {
  heard: "hears it",
  joining: "is about to hear it",
  draining: "drains",
  deaf: "does not hear it",
  gone: "removed",
};

export function startMatrix(live) {
  showKey();
  const redraw = drawIn("overview", live, draw);
  byId("matrix-show").addEventListener("change", redraw);
}

function draw({ cluster, nodes }) {
  const all = nodes.nodes.filter(({ state, heardBy }) => state !== "gone" || heardBy.length);
  const cells = new Map();
  for (const node of all) {
    for (const hearing of node.heardBy) cells.set(key(hearing.server, node.id), cell(node, hearing, true));
    for (const hearing of node.notHeardBy) cells.set(key(hearing.server, node.id), cell(node, hearing, false));
  }
  const servers = cluster.services.flatMap(({ service, servers }) => servers.map(({ name }) => ({ name, service })));
  const onlyTrouble = byId("matrix-show").value === "trouble";
  const troubled = ({ name }) => all.some(({ id }) => cells.get(key(name, id))?.state !== "heard");
  const shown = onlyTrouble ? servers.filter(troubled) : servers;
  byId("matrix-empty").hidden = shown.length > 0;
  write(byId("matrix-empty"), servers.length ? "Every server hears every Redis node." : "No server is known yet.");
  byId("matrix").hidden = shown.length === 0;
  keyed(byId("matrix"), [{ head: true }, ...shown], ({ name }) => name ?? "", row, (element, server) => fill(element, server, all, cells));
}

const key = (server, node) => `${server} ${node}`;

function row() {
  return make("tr");
}

function fill(element, { head, name, service }, nodes, cells) {
  const columns = [{ id: "" }, ...nodes];
  const create = ({ id }) => {
    const corner = head && id === "";
    const element = make(corner ? "td" : head || id === "" ? "th" : "td");
    if (!corner && element.tagName === "TH") element.scope = head ? "col" : "row";
    return element;
  };
  keyed(element, columns, ({ id }) => id, create, (element, { id }) => {
    if (head) return write(element, id);
    if (id === "") {
      write(element, name);
      return mark(element, "title", service);
    }
    const { state, text } = cells.get(key(name, id)) ?? { state: "gone", text: "not known there" };
    mark(element, "data-hears", state);
    mark(element, "title", `${name}, ${id}: ${text}`);
  });
}

function cell(node, { state, rttMs, reconnects, gaps, error }, hears) {
  const here = state ?? node.state;
  const name = here === "gone" ? "gone" : here === "draining" ? "draining" : hears ? "heard" : here === "joining" ? "joining" : "deaf";
  const more = [MEANINGS[name]];
  if (hears && rttMs !== null && rttMs !== undefined) more.push(`round trip ${milliseconds(rttMs)}`);
  if (reconnects) more.push(plural(reconnects, "reconnect"));
  if (gaps) more.push(plural(gaps, "gap"));
  if (error) more.push(error);
  return { state: name, text: more.join("; ") };
}

function showKey() {
  for (const [state, words] of Object.entries(MEANINGS)) {
    const sign = make("span", "", "sign");
    sign.dataset.hears = state;
    const entry = make("li");
    entry.append(sign, make("span", words));
    byId("matrix-key").append(entry);
  }
}
