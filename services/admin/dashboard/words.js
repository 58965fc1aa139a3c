// Numbers, times and what happened, in words that people read.

const count = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

/** A number of things; an en dash if it is not known. */
export function number(value) {
  if (value === null || value === undefined) return "–";
  return value < 100_000 ? count.format(value) : short.format(value);
}

/** A number per second. */
export function rate(value) {
  if (value === null || value === undefined) return "–";
  if (value > 0 && value < 10) return value < 0.05 ? "<0.1" : String(Math.round(value * 10) / 10);
  return number(value);
}

/** Why a server is missing in an answer, as admin says it: a sentence without its full stop. */
export function absent(server, why) {
  return /^(did|does|went|was|is|has|ended|could) /.test(why) ? `${server} ${why}` : `${server} did not answer: ${why}`;
}

/** "1 client", "2 clients". */
export function plural(value, one, many = `${one}s`) {
  return `${number(value)} ${value === 1 ? one : many}`;
}

export function bytes(value) {
  if (value === null || value === undefined) return "–";
  for (const [size, unit, digits] of [[2 ** 30, "GiB", 1], [2 ** 20, "MiB", 1], [2 ** 10, "KiB", 0]]) {
    if (value >= size) return `${(value / size).toFixed(value >= 100 * size ? 0 : digits)} ${unit}`;
  }
  return `${Math.round(value)} B`;
}

export function milliseconds(ms) {
  if (ms === null || ms === undefined) return "–";
  if (ms < 0.005) return "0 ms";
  if (ms < 1) return `${ms.toFixed(2)} ms`;
  if (ms < 1000) return `${ms.toFixed(ms < 10 ? 1 : 0)} ms`;
  return duration(ms);
}

/** A span of time: its two largest units. */
export function duration(ms) {
  const seconds = Math.max(0, ms) / 1000;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86_400)} d ${Math.floor((seconds % 86_400) / 3600)} h`;
}

/** The time of day of an RFC 3339 time or of milliseconds since 1970, with the date if it is another day. */
export function clock(at) {
  const date = new Date(at);
  const time = date.toLocaleTimeString("en-GB");
  return date.toDateString() === new Date().toDateString() ? time : `${date.toLocaleDateString("en-CA")} ${time}`;
}

/** JSON that a person typed; undefined if the field is empty. */
export function json(text) {
  if (text.trim() === "") return undefined;
  try {
    return JSON.parse(text);
  } catch {
    throw new Error('The payload is not JSON. Text needs quotes, as in "hello"; an object looks like {"msg": "hello"}.');
  }
}

const LAPSES = {
  isolated: (node, length) => `heard no Redis for ${length}. What others sent meanwhile may be missing there.`,
  stalled: (node, length) => `did not run for ${length}. What others sent meanwhile may be missing there. Look for a suspended process or a host without free CPU.`,
  "window-too-small": (node, length) => `keeps too few bytes to send again: for ${length}, what it sent may be missing elsewhere. Raise --replay-bytes.`,
  expired: (node, length) => `found no Redis that the receivers hear, for ${length}${node ? ` (after trouble with ${node})` : ""}. What it sent may be missing there.`,
};

/** A lapse as a sentence about its server. */
export function lapse(server, { reason, node, lengthMs }) {
  const words = LAPSES[reason] ?? ((_, length) => `did not keep the promise for ${length} (${reason}).`);
  return `${server} ${words(node, duration(lengthMs))}`;
}

const CHANGES = { add: "Add", remove: "Remove", scale: "Scale" };

/** What a job does: "Add redis-3", "Scale from 3 to 5 Redis nodes". */
export function change({ what, node, replicas }) {
  const about = replicas ? `from ${replicas.from} to ${replicas.to} Redis nodes` : (node ?? "");
  return `${CHANGES[what] ?? what} ${about}`.trim();
}
