// Writes the dashboards that the chart and docker-compose.yml hand to Grafana, or checks that they are what these sources make.
//
//   node deploy/grafana/dashboards/build.mjs [--check]
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import backends from "./backends.mjs";
import bus from "./bus.mjs";
import edge from "./edge.mjs";
import game from "./game.mjs";
import overview from "./overview.mjs";

const FOLDER = fileURLToPath(new URL("../../../charts/wsmesh/files/dashboards/", import.meta.url));
// `kubectl apply` keeps what it applied in an annotation, which may have 256 KiB with everything else in it.
const MOST_BYTES = 200_000;

/** What a panel must have so that a stranger can read it. */
function complaints(name, { panels }) {
  const shown = panels.filter(({ type }) => type !== "row");
  const titles = shown.map(({ title }) => title);
  return [
    ...shown.filter(({ description }) => !/Normal: |^What runs/.test(description ?? "")).map(({ title }) => `${name}: "${title}" does not say what is normal`),
    ...titles.filter((title, index) => titles.indexOf(title) !== index).map((title) => `${name}: two panels are called "${title}"`),
  ];
}

const problems = [];
for (const [name, dashboard] of Object.entries({ overview, edge, bus, backends, game })) {
  problems.push(...complaints(name, dashboard));
  const text = `${JSON.stringify(dashboard, null, 1)}\n`;
  if (Buffer.byteLength(text) > MOST_BYTES) problems.push(`${name}.json has ${Buffer.byteLength(text)} bytes, more than ${MOST_BYTES}`);
  const file = `${FOLDER}${name}.json`;
  if (!process.argv.includes("--check")) writeFileSync(file, text);
  else if (readFileSync(file, "utf8") !== text) problems.push(`${name}.json is not what its source makes: run make dashboards and commit the result`);
}
if (problems.length) {
  console.error(problems.join("\n"));
  process.exit(1);
}
