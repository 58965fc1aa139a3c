// What needs attention in a snapshot, each finding one sentence. Only what a person should look at or do something about.
import { absent, bytes, clock, lapse, number } from "./words.js";

/** A lapse is shown as news for so long; after that it is in the view Activity only. */
const LAPSE_IS_NEWS_MS = 15 * 60_000;
const MEMORY_WARNS_AT = 0.85;

/** The findings, the worst first: `{ key, text, mood }`, where the mood is "bad" or "warn". */
export function findings({ asOf, cluster, nodes, stats }) {
  const servers = cluster.services.flatMap((service) => service.servers);
  const found = [...ofNodes(nodes), ...ofServers(servers, stats), ...ofLapses(servers, Date.parse(asOf))];
  for (const { server, setting, theirs, ours } of cluster.differences ?? []) {
    found.push(warn(`difference ${server} ${setting}`, `${server} has ${setting} = ${theirs}; this admin has ${ours}. Set it to the same everywhere.`));
  }
  return found.sort((a, b) => (a.mood === b.mood ? 0 : a.mood === "bad" ? -1 : 1));
}

function ofNodes({ nodes, warnings = [] }) {
  const found = warnings.map((text) => ({ key: `warning ${text.replace(/\d+/g, "#")}`, text: sentence(text), mood: "bad" }));
  for (const { id, state, heardBy, slow, facts, factsError } of nodes) {
    if (state === "gone") continue;
    if (slow) found.push(warn(`slow ${id}`, `${id} is slow: ${slow}. Does it lack CPU? Its slow log and the network to it tell more; Drain takes it out without loss.`));
    // If nobody hears it, that is said already.
    if (factsError && heardBy.length) found.push(warn(`facts ${id}`, `${id} does not tell its facts: ${factsError}`));
    if (!facts) continue;
    const { usedMemoryBytes, maxMemoryBytes, evictedKeys, rejectedConnections } = facts;
    if (maxMemoryBytes > 0 && usedMemoryBytes > MEMORY_WARNS_AT * maxMemoryBytes) {
      found.push(warn(`memory ${id}`, `${id} uses ${bytes(usedMemoryBytes)} of ${bytes(maxMemoryBytes)} memory. Find out who stores data there: wsmesh stores none.`));
    }
    if (evictedKeys > 0) found.push(warn(`evicted ${id}`, `${id} has evicted ${number(evictedKeys)} keys: something stores data there.`));
    if (rejectedConnections > 0) found.push(warn(`rejected ${id}`, `${id} has rejected ${number(rejectedConnections)} connections. Raise its maxclients.`));
  }
  return found;
}

function ofServers(servers, { missing = [] }) {
  const found = missing.map(({ server, why }) => ({ key: `missing ${server}`, text: `${absent(server, why)}.`, mood: "bad" }));
  for (const { name, state } of servers) {
    if (state === "isolated") found.push({ key: `isolated ${name}`, text: `${name} hears no Redis: nothing reaches its clients. Check its network and its Redis password.`, mood: "bad" });
  }
  return found;
}

function ofLapses(servers, now) {
  return lapses(servers)
    .filter(({ at }) => now - at < LAPSE_IS_NEWS_MS)
    .map(({ key, at, text }) => warn(key, `${clock(at)}: ${text}`));
}

/** Every lapse that the servers report, newest first: `{ key, at, text }`. */
export function lapses(servers) {
  const all = servers.flatMap(({ name, lapses = [] }) =>
    lapses.map((one) => ({ key: `lapse ${name} ${one.noticedAt} ${one.reason}`, at: Date.parse(one.noticedAt), text: lapse(name, one) })),
  );
  return all.sort((a, b) => b.at - a.at);
}

function warn(key, text) {
  return { key, text, mood: "warn" };
}

/** With a capital and a full stop. */
function sentence(text) {
  const end = /[.!?]$/.test(text) ? "" : ".";
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${end}`;
}
