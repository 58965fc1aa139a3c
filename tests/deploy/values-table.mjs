// Writes charts/wsmesh/README.md from README.md.gotmpl and the comments of values.yaml with helm-docs, or checks that it is current.
//
//   node tests/deploy/values-table.mjs [--check]
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const CHART = "charts/wsmesh";
const HELM_DOCS = process.env.HELM_DOCS ?? "helm-docs";

// Objects that have one row, with what they hold.
const WHOLE = new Set(["behavior", "resources", "serviceAccount", "strategy"]);
// Keys of many sections, which need no comment there.
const ABOUT = {
  affinity: "Affinity of pods.",
  annotations: "More annotations.",
  config: "The configuration file, as text (TOML).",
  duration: "How long a certificate is valid. Empty: as cert-manager decides.",
  enabled: "Whether it is there.",
  extraContainers: "More containers of pods.",
  extraVolumeMounts: "More mounts of the container.",
  extraVolumes: "More volumes of pods.",
  image: "The image.",
  initContainers: "Containers that run before it.",
  issuerRef: "An issuer of cert-manager that makes the certificate.",
  labels: "More labels.",
  maxReplicas: "Most pods.",
  metricRelabelings: "Relabelings of series.",
  minReadySeconds: "Seconds that a new pod must be ready before the next one is replaced.",
  minReplicas: "Fewest pods.",
  nodePort: "Port on every machine, with type NodePort or LoadBalancer. Empty: Kubernetes chooses.",
  nodeSelector: "Labels of the machines that pods may run on.",
  pathType: "How the path is compared.",
  podAnnotations: "More annotations of pods.",
  podLabels: "More labels of pods.",
  port: "Port of the Service.",
  priorityClassName: "Priority class of pods.",
  pullPolicy: "When images are pulled.",
  relabelings: "More relabelings of targets.",
  resources: "What the container asks for, and its limits.",
  scrapeTimeout: "Longest time of a scrape. Empty: as Prometheus decides.",
  serviceAccount: "Whether pods have a service account of their own, or the name of one of yours.",
  strategy: "How pods are replaced.",
  tolerations: "Taints of machines that pods tolerate.",
  type: "Type of the Service.",
};

const indentOf = (line) => line.search(/\S/);

/** values.yaml with helm-docs' own mark on what describes a key: a block of comments right above it, or what ABOUT says. */
function marked(text) {
  const lines = text.split("\n");
  const out = [];
  let [comment, inside] = [[], -1];
  lines.forEach((line, index) => {
    if (/^\s*#/.test(line)) return comment.push(line);
    const key = /^\s*([A-Za-z]\w*):/.exec(line)?.[1];
    if (key) {
      const indent = indentOf(line);
      if (indent <= inside) inside = -1;
      const next = lines.slice(index + 1).find((line) => line.trim() && !/^\s*#/.test(line)) ?? "";
      const isObject = /:$/.test(line) && indentOf(next) > indent;
      if (inside < 0 && (!isObject || WHOLE.has(key))) {
        if (comment.length) comment[0] = comment[0].replace("# ", "# -- ");
        else if (ABOUT[key]) comment = [`${" ".repeat(indent)}# -- ${ABOUT[key]}`];
        else throw new Error(`${CHART}/values.yaml:${index + 1}: ${key} has no comment`);
        if (isObject) inside = indent;
      } else comment = [];
    }
    out.push(...comment, line);
    comment = [];
  });
  return out.join("\n");
}

const work = mkdtempSync(join(tmpdir(), "values-table-"));
try {
  for (const file of ["Chart.yaml", "README.md.gotmpl"]) copyFileSync(join(CHART, file), join(work, file));
  writeFileSync(join(work, "values.yaml"), marked(readFileSync(join(CHART, "values.yaml"), "utf8")));
  const run = spawnSync(HELM_DOCS, ["--chart-search-root", work, "--sort-values-order", "file", "--log-level", "error"], { encoding: "utf8" });
  if (run.error || run.status) throw new Error(run.error ? `helm-docs is missing: see https://github.com/norwoodj/helm-docs` : run.stderr);
  const empty = readFileSync(join(work, "README.md"), "utf8").replaceAll(/\| `(nil|"")` \|/g, "| – |");
  const after = `${empty.replaceAll(/ +$/gm, "").trimEnd()}\n`;
  const file = join(CHART, "README.md");
  if (readFileSync(file, "utf8") === after) console.log(`${file} is current`);
  else if (process.argv.includes("--check")) {
    console.error(`${file} is not current: run node tests/deploy/values-table.mjs and commit the result`);
    process.exitCode = 1;
  } else {
    writeFileSync(file, after);
    console.log(`${file} written`);
  }
} finally {
  rmSync(work, { recursive: true });
}
