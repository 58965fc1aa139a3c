// game-logic: players who wait, matches that run.
import { dashboard, quantiles, row, stat, time } from "./panels.mjs";

export default dashboard(
  "game",
  "wsmesh: game",
  "The service of matchmaking and matches that comes with the bundle: how long players wait, how many matches run, and what they cost.",
  [
    row(
      "Traffic",
      stat("Matches that run", 'sum(wsmesh_matches{state="running"})', "Normal: the rhythm of your players.", { width: 8 }),
      stat("Players who wait", "sum(wsmesh_queue_length)", "Tickets in all queues, those being matched included. Normal: fewer than a match needs, times your modes.", { width: 8 }),
      stat("Servers of game-logic", 'count(wsmesh_build_info{component="game-logic"})', "Those that are scraped. Normal: your replicas.", { width: 8 }),
      time("Matches", [["sum by (state) (wsmesh_matches)", "{{state}}"]], "Being formed, and running. Normal: forming is short, so few at a time. Many that form: their players do not answer, or no server takes them."),
      time("Matches that ended", [["sum by (reason) (rate(wsmesh_matches_ended_total[rate]))", "{{reason}}"]], "Per second, by why. Normal: finished, and left by their players. Others: a server was drained or lost.", { unit: "cps" }),
      time("Players who wait, by mode", [["sum by (mode) (wsmesh_queue_length)", "{{mode}}"]], "Normal: near 0 with many players. Grows: matches are not formed; look at the errors below."),
    ),
    row(
      "Latency",
      time("How long players wait", quantiles("wsmesh_match_wait_seconds", ["mode"]), "From a player's request to its match. Normal: seconds; with few players as long as it takes until another one comes. Long with many players: no server takes the matches.", { unit: "s", width: 12 }),
      time("One tick of one match", quantiles("wsmesh_tick_seconds"), "Without sending. Normal: below a millisecond. Longer than the tick rate allows: matches run slow; more servers, or fewer matches on each (max_matches).", { unit: "s", width: 12 }),
    ),
    row(
      "Errors",
      time("Requests to run a match", [["sum by (result) (rate(wsmesh_matches_adopted_total[rate]))", "{{result}}"]], "Per second. Normal: started. refused: max_matches is reached; add servers. abandoned: its players left before it began.", { unit: "cps" }),
      time("Tickets handed over", [["sum by (result) (rate(wsmesh_tickets_handed_over_total[rate]))", "{{result}}"]], "Tickets offered to the new owner of their queue, per second. Normal: none, some when a server comes or goes. kept: the new owner did not take them; they are offered again.", { unit: "cps" }),
      time("Requests answered", [['sum by (result) (rate(wsmesh_requests_total{component="game-logic",direction="in"}[rate]))', "{{result}}"]], "Requests of clients and servers that game-logic answered, per second. Normal: ok. overloaded: a listener is full. abandoned: the asker had given up, so it was too slow.", { unit: "cps" }),
    ),
    row(
      "Saturation",
      time("CPU", [['sum by (pod) (rate(process_cpu_seconds_total{component="game-logic"}[rate]))', "{{pod}}"]], "Cores. Normal: well below the request of the pod.", {}),
      time("Memory", [['sum by (pod) (process_resident_memory_bytes{component="game-logic"})', "{{pod}}"]], "Resident. Normal: it follows the matches.", { unit: "bytes" }),
      time("Runtime busy", [['sum by (pod) (rate(wsmesh_runtime_busy_seconds_total{component="game-logic"}[rate])) / sum by (pod) (wsmesh_runtime_threads{component="game-logic"})', "{{pod}}"]], "The share of time for which its threads have work. Normal: below 70 %. Near 100 %: ticks come late.", { unit: "percentunit", max: 1, limit: 0.9 }),
    ),
  ],
);
