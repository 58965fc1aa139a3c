// The cluster at a glance: what needs attention, the numbers of now, and who stands out.
import { byId, keyed, make, mark, write } from "./dom.js";
import { findings } from "./findings.js";
import { Fold } from "./fold.js";
import { worstLag } from "./lag.js";
import { drawIn, go } from "./views.js";
import { bytes, clock, duration, milliseconds, number, plural, rate } from "./words.js";

const CHANGES_KEPT = 200;
const LISTED = 10;
/** Findings and changes that are shown before one asks for all. */
const FIRST = 6;

/** `open` has what to do when a room or a client is chosen. */
export function startOverview(live, open) {
  const changes = [];
  const [problems, newest] = [new Fold(byId("problems"), FIRST), new Fold(byId("changes"), FIRST)];
  drawIn("overview", live, (snapshot) => {
    showFindings(problems, findings(snapshot));
    showTiles(snapshot);
    showRanks(snapshot.stats, open);
    showRates(snapshot.stats);
  });
  live.on("topology", ({ at, text }) => {
    changes.unshift({ at, text, id: `${at} ${text}` });
    changes.length = Math.min(changes.length, CHANGES_KEPT);
    newest.show(unique(changes), ({ id }) => id, line, () => {});
    byId("changes-empty").hidden = true;
  });
}

function unique(changes) {
  return [...new Map(changes.map((change) => [change.id, change])).values()];
}

function line({ at, text }) {
  const element = make("li");
  element.append(make("time", clock(at)), make("span", text));
  return element;
}

function showFindings(problems, found) {
  const worst = found.some(({ mood }) => mood === "bad") ? "bad" : found.length ? "warn" : "good";
  mark(byId("attention"), "data-mood", worst);
  write(byId("attention-title"), found.length ? plural(found.length, "thing needs attention", "things need attention") : "Everything is well");
  byId("problems").hidden = found.length === 0;
  const create = ({ text, mood }) => {
    const element = make("li", text);
    element.dataset.mood = mood;
    return element;
  };
  problems.show(found, ({ key }) => key, create, (element, { text }) => write(element, text));
}

function showTiles({ stats, nodes }) {
  const { totals } = stats;
  const rates = totals?.rates ?? {};
  const active = nodes.nodes.filter(({ state }) => state === "active");
  const heard = active.filter(({ notHeardBy }) => notHeardBy.length === 0);
  const lag = worstLag(stats);
  const tiles = [
    ["Clients", number(stats.clients), plural(stats.services.reduce((sum, { servers }) => sum + servers, 0), "server")],
    ["Connects", `${rate(rates.connects)}/s`, `${rate(rates.disconnects)}/s disconnect`],
    ["Messages in", `${rate(rates.messagesIn)}/s`, `${bytes(rates.bytesIn)}/s`],
    ["Messages out", `${rate(rates.messagesOut)}/s`, `${bytes(rates.bytesOut)}/s`],
    ["Lag p99", milliseconds(lag?.p99), `p50 ${milliseconds(lag?.p50)}`],
    ["Redis", `${heard.length} of ${active.length}`, "active, heard by all"],
  ];
  const create = ([name]) => {
    const element = make("div");
    element.append(make("dt", name), make("dd", "", "value"), make("dd", "", "more"));
    return element;
  };
  keyed(byId("tiles"), tiles, ([name]) => name, create, (element, [, value, more]) => {
    write(element.children[1], value);
    write(element.children[2], more);
  });
}

function showRanks({ topRooms, slowClients = [] }, open) {
  const room = ({ namespace, id }) => `${namespace}/${id}`;
  ranks("by-members", topRooms?.byMembers ?? [], room, ({ members }) => plural(members, "member"), open.room);
  ranks("by-messages", topRooms?.byMessages ?? [], room, ({ messagesPerSecond }) => `${rate(messagesPerSecond)}/s`, open.room);
  const behind = ({ server, queuedBytes, queuedMs }) =>
    `${bytes(queuedBytes)}${queuedMs === undefined || queuedMs === null ? "" : `, ${duration(queuedMs)}`} behind on ${server}`;
  ranks("slow", slowClients, ({ client }) => client, behind, ({ client }) => open.client(client));
}

function ranks(id, items, name, words, open) {
  const create = (item) => {
    const element = make("li");
    const link = make("button", name(item), "link");
    link.type = "button";
    link.addEventListener("click", () => {
      go("clients");
      open(item);
    });
    element.append(link, make("span"));
    return element;
  };
  keyed(byId(id), items.slice(0, LISTED), name, create, (element, item) => write(element.lastChild, words(item)));
  byId(`${id}-empty`).hidden = items.length > 0;
}

function showRates({ closesPerSecond = {}, errorsPerSecond = {} }) {
  const pairs = [
    ...Object.entries(closesPerSecond).map(([code, value]) => [`close ${code}`, value]),
    ...Object.entries(errorsPerSecond).map(([code, value]) => [code, value]),
  ].filter(([, value]) => value > 0);
  const create = ([name]) => {
    const element = make("li");
    element.append(make("span", name), make("b"));
    return element;
  };
  keyed(byId("closes"), pairs, ([name]) => name, create, (element, [, value]) => write(element.lastChild, `${rate(value)}/s`));
  byId("closes-empty").hidden = pairs.length > 0;
}
