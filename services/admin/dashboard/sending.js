// What goes to everybody: a broadcast, and the log level of all servers.
import { ask } from "./api.js";
import { confirm } from "./dialog.js";
import { byId, onSubmit } from "./dom.js";
import { messageOf, run } from "./forms.js";
import { LEVEL_FIELDS, setLevel } from "./levels.js";
import { plural } from "./words.js";

export function startSending() {
  const form = byId("broadcast");
  onSubmit(form, () => run(form, () => broadcast(messageOf(form))));
  byId("log-level-all").addEventListener("click", setLevelOfAll);
}

async function broadcast(body) {
  const sure = await confirm({
    title: "Send to every client?",
    effect: `The event "${body.event}" goes to every client of the whole cluster.`,
    action: "Send to everyone",
  });
  if (!sure) return "Nothing was sent.";
  const { servers } = await ask("broadcast", { method: "POST", body });
  return servers === null ? "Accepted: it goes out as soon as a Redis is heard." : `Sent to ${plural(servers, "server")}.`;
}

async function setLevelOfAll() {
  const values = await confirm({
    title: "Log level of all servers",
    effect: "The level falls back by itself after the time.",
    action: "Set",
    danger: false,
    fields: LEVEL_FIELDS,
  });
  if (values) await setLevel("log-level", values, "all servers");
}
