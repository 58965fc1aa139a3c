// Every expression of the dashboards, as a question for a Prometheus, and which of them may stay without an answer.
import { readFileSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";

const at = (path) => fileURLToPath(new URL(path, import.meta.url));
const DASHBOARDS = at("../../../charts/wsmesh/files/dashboards/");

/** The variables as Grafana fills them in when all is chosen, over a run of so many seconds. */
const filled = (expr, seconds) => expr.replaceAll("$__rate_interval", "10s").replaceAll("$__range", `${seconds}s`).replaceAll(/\$(namespace|release|pod|node)\b/g, ".*");

/** `{ where, expr, exemplar }` for each query of panels and annotations; `where` is "bus: Lag by node: p99 {{node}}". */
export function expressions(seconds) {
  return dashboards().flatMap(({ name, panels, annotations }) => [
    ...panels.flatMap(({ title, targets = [] }) =>
      targets.map(({ expr, legendFormat, exemplar = false }) => ({ where: [name, title, ...(legendFormat ? [legendFormat] : [])].join(": "), expr: filled(expr, seconds), exemplar })),
    ),
    ...annotations.list.filter(({ target }) => target).map((one) => ({ where: `${name}: annotation: ${one.name}`, expr: filled(one.target.expr, seconds), exemplar: false })),
  ]);
}

/** `{ where, label, match }` for each variable that asks Prometheus for the values of a label. */
export function variables() {
  return dashboards().flatMap(({ name, templating }) =>
    templating.list.filter(({ type }) => type === "query").map(({ name: variable, definition }) => {
      const [, match, label] = /^label_values\((.+), (\w+)\)$/.exec(definition);
      return { where: `${name}: variable: ${variable}`, label, match: filled(match, 0) };
    }),
  );
}

const dashboards = () => readdirSync(DASHBOARDS).map((file) => ({ name: file.replace(".json", ""), ...JSON.parse(readFileSync(DASHBOARDS + file, "utf8")) }));

const linesOf = (path) => readFileSync(at(path), "utf8").split("\n").filter((line) => line && !line.startsWith("#"));

/** What needs a fault that this run does not make: `where` → reason. */
export const needFaults = () => new Map(linesOf("needs-a-fault.txt").map((line) => line.split(" | ")));

/** Names of metrics that are not built yet. */
export const toCome = () => linesOf("../metrics-to-come.txt");
