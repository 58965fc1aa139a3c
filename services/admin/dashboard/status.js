// Says in the header whether what is shown is live. Only a change of that is read aloud, never the seconds.
import { byId, mark, write } from "./dom.js";
import { duration } from "./words.js";

export function startStatus(live) {
  live.on("state", ({ fresh, age, retryInMs, why }) => {
    const state = fresh ? "live" : age === null && !why ? "opening" : "stale";
    mark(byId("live"), "data-state", state);
    write(byId("live"), { live: "Live", opening: "Connecting", stale: age === null ? "No connection" : "Out of date" }[state]);
    byId("main").classList.toggle("stale", state === "stale" && age !== null);
    const parts = [];
    if (state === "stale" && age !== null) parts.push(`last news ${duration(age)} ago`);
    if (retryInMs !== null && !fresh) parts.push(`trying again in ${Math.ceil(retryInMs / 1000)} s`);
    write(byId("age"), parts.join(", "));
    mark(byId("age"), "title", why || null);
    if (state === "stale" && age === null) write(byId("attention-title"), why);
  });
}
