// What the five dashboards are made of: panels, rows, variables, links and annotations, in the form that Grafana 12 reads. The files of
// the dashboards say only what is shown and what it means; everything that they have in common is here, so that they look and work alike.
// Nothing here knows a panel of a certain dashboard.

const PROMETHEUS = { type: "prometheus", uid: "${datasource}" };
const WIDTH = 24;

// Whose labels tell a Redis node. Facts about Redis come from admin, so a choice of pods does not concern them.
const OF_NODES = /^wsmesh_(publish_total|publish_duration_seconds|receive_total|lag_seconds|node_|redis_)/;
const OF_REDIS = /^wsmesh_redis_/;

/** The labels that the variables choose by, for the series of one metric. */
function matchers(metric) {
  const chosen = ['namespace=~"$namespace"', 'release=~"$release"'];
  if (!OF_REDIS.test(metric)) chosen.push('pod=~"$pod"');
  if (OF_NODES.test(metric)) chosen.push('node=~"$node"');
  return chosen;
}

/** An expression as the dashboards write it, `rate(wsmesh_frames_total{direction="in"}[rate])`, with the matchers of the variables. */
export function select(expression) {
  return expression
    .replaceAll("[rate]", "[$__rate_interval]")
    .replaceAll(/\b((?:wsmesh|process)_[a-z_]+)(?:\{([^}]*)\})?/g, (_, metric, own) => `${metric}{${[...matchers(metric), ...(own ? [own] : [])].join(",")}}`);
}

const query = ([expr, legend], index, exemplar) => ({
  datasource: PROMETHEUS,
  refId: String.fromCharCode(65 + index),
  expr: select(expr),
  legendFormat: legend ?? "",
  ...(exemplar ? { exemplar: true } : {}),
});

/** Quantiles of a histogram, as queries: `quantiles("wsmesh_lag_seconds", ["node"])`. */
export function quantiles(metric, by = [], shares = [0.5, 0.99], own = "") {
  const labels = by.map((label) => ` {{${label}}}`).join("");
  return shares.map((share) => [
    `histogram_quantile(${share}, sum by (${["le", ...by].join(", ")}) (rate(${metric}_bucket${own && `{${own}}`}[rate])))`,
    `p${String(share * 100).replace(".", "")}${labels}`,
  ]);
}

// --- links -----------------------------------------------------------------------------------------------------------------
const KEPT = "${__url_time_range}&${datasource:queryparam}&${traces:queryparam}&${namespace:queryparam}&${release:queryparam}";

/** From a series to another dashboard, for what the series is about: `to("bus", "node")`. */
export const to = (dashboard, label) => ({
  title: `${dashboard[0].toUpperCase()}${dashboard.slice(1)} of this ${label}`,
  url: `/d/wsmesh-${dashboard}?var-${label}=\${__field.labels.${label}}&${KEPT}`,
});

/** From a latency to the slow traces of the same time. Exemplars lead to one trace each; their link is a matter of the data source. */
function slowTraces(service) {
  const search = { refId: "A", queryType: "search", service, minDuration: "100ms", limit: 20, datasource: { type: "jaeger", uid: "${traces}" } };
  const panes = { a: { datasource: "${traces}", queries: [search], range: { from: "${__from}", to: "${__to}" } } };
  const encoded = encodeURIComponent(JSON.stringify(panes)).replaceAll(/%24%7B(\w+)%7D/g, "${$1}");
  return { title: `Slow traces of ${service}`, url: `/explore?schemaVersion=1&panes=${encoded}`, targetBlank: true };
}

// --- panels ----------------------------------------------------------------------------------------------------------------
function thresholds(steps) {
  return { mode: "absolute", steps: steps.map(([value, color]) => ({ value, color })) };
}
/** Good until a value is reached: `worse(1)` is red from 1 on, `worse(70, 90)` orange from 70 on and red from 90 on. */
export const worse = (first, second) => [[null, "green"], ...(second === undefined ? [[first, "red"]] : [[first, "orange"], [second, "red"]])];
/** Bad until a value is reached. */
export const better = (value) => [[null, "red"], [value, "green"]];

/** One number: what is so now. */
export function stat(title, expr, description, { unit = "short", steps = [[null, "text"]], width = 4, decimals, mappings = [], links = [] } = {}) {
  return {
    type: "stat",
    title,
    description,
    datasource: PROMETHEUS,
    targets: [{ ...query([expr], 0), instant: true }],
    fieldConfig: { defaults: { unit, decimals, mappings, links, thresholds: thresholds(steps), noValue: "–" }, overrides: [] },
    options: {
      reduceOptions: { calcs: ["lastNotNull"], fields: "", values: false },
      colorMode: "value",
      graphMode: "none",
      textMode: "auto",
      justifyMode: "auto",
      orientation: "auto",
      wideLayout: true,
      showPercentChange: false,
      percentChangeColorMode: "standard",
    },
    gridPos: { w: width, h: 4 },
  };
}

/** Values over time. `traces` names a service: its queries show exemplars, and each series leads to the service's slow traces. */
export function time(title, queries, description, { unit = "short", width = 8, traces, links = [], stack = false, min = 0, max, limit } = {}) {
  return {
    type: "timeseries",
    title,
    description,
    datasource: PROMETHEUS,
    targets: queries.map((each, index) => query(each, index, Boolean(traces))),
    fieldConfig: {
      defaults: {
        unit,
        min,
        max,
        links: [...(traces ? [slowTraces(traces)] : []), ...links],
        ...(limit === undefined ? {} : { thresholds: thresholds([[null, "transparent"], [limit, "red"]]) }),
        custom: {
          drawStyle: "line",
          lineWidth: 1,
          fillOpacity: stack ? 30 : 8,
          showPoints: "never",
          spanNulls: false,
          stacking: { mode: stack ? "normal" : "none", group: "A" },
          ...(limit === undefined ? {} : { thresholdsStyle: { mode: "dashed" } }),
        },
      },
      overrides: [],
    },
    options: {
      legend: { displayMode: "table", placement: "bottom", showLegend: true, calcs: ["mean", "max", "lastNotNull"] },
      tooltip: { mode: "multi", sort: "desc" },
    },
    gridPos: { w: width, h: 8 },
  };
}

/** Labels of series, a line each. */
export function table(title, expr, description, { hidden = [], width = 12, links = [] } = {}) {
  return {
    type: "table",
    title,
    description,
    datasource: PROMETHEUS,
    targets: [{ ...query([expr], 0), instant: true, format: "table" }],
    transformations: [{ id: "organize", options: { excludeByName: Object.fromEntries(["Time", "__name__", ...hidden].map((name) => [name, true])) } }],
    fieldConfig: { defaults: { links, noValue: "–", custom: { align: "auto", inspect: false } }, overrides: [] },
    options: { frameIndex: 0, showHeader: true, cellHeight: "sm" },
    gridPos: { w: width, h: 8 },
  };
}

/** A heading and the panels below it. */
export const row = (title, ...panels) => ({ title, panels });

// --- a whole dashboard -----------------------------------------------------------------------------------------------------
function choice(name, label, metric, more = {}) {
  const filters = { release: '{namespace=~"$namespace"}', pod: '{namespace=~"$namespace",release=~"$release"}' };
  const text = `label_values(${metric}${filters[name] ?? (name === "node" ? filters.pod : "")}, ${name})`;
  return {
    name,
    label,
    type: "query",
    datasource: PROMETHEUS,
    query: { query: text, refId: name },
    definition: text,
    refresh: 2,
    sort: 1,
    multi: true,
    includeAll: true,
    // Series that lack the label belong to all, too.
    allValue: ".*",
    current: { text: ["All"], value: ["$__all"] },
    ...more,
  };
}

function variables(byNode) {
  return [
    { name: "datasource", label: "Metrics", type: "datasource", query: "prometheus", current: { text: "", value: "" } },
    { name: "traces", label: "Traces", type: "datasource", query: "jaeger", current: { text: "", value: "" } },
    choice("namespace", "Namespace", "wsmesh_build_info"),
    choice("release", "Release", "wsmesh_build_info"),
    choice("pod", "Pod", "wsmesh_build_info"),
    // Where no panel is about a Redis node the choice is only kept, for the way to a dashboard that has such panels.
    choice("node", "Redis node", "wsmesh_node_up", byNode ? {} : { hide: 2 }),
  ];
}

const annotation = (name, color, expr, titleFormat, textFormat, tagKeys) => ({
  name,
  enable: true,
  hide: false,
  iconColor: color,
  datasource: PROMETHEUS,
  target: { refId: "Anno", expr: select(expr), interval: "30s" },
  titleFormat,
  textFormat,
  tagKeys,
});

// A counter that begins with its first event has no increase for it, so it is also compared with what was there before.
const CHANGES =
  "sum by (trigger, result) (increase(wsmesh_topology_changes_total[1m])) > 0 or (sum by (trigger, result) (wsmesh_topology_changes_total) " +
  "unless sum by (trigger, result) (wsmesh_topology_changes_total offset 1m))";
const ANNOTATIONS = [
  { name: "Annotations & Alerts", builtIn: 1, enable: true, hide: true, iconColor: "rgba(0, 211, 255, 1)", type: "dashboard", datasource: { type: "grafana", uid: "-- Grafana --" } },
  annotation("Topology changes", "blue", CHANGES, "The Redis nodes changed", "{{trigger}}: {{result}}", "trigger,result"),
  annotation("Drains", "orange", "wsmesh_draining == 1", "{{pod}} sends its clients away", "", "pod"),
];

/** Puts panels side by side, in lines of 24, below the heading of their row. */
function placed(rows) {
  const panels = [];
  let y = 0;
  for (const { title, panels: own } of rows) {
    panels.push({ type: "row", title, collapsed: false, panels: [], gridPos: { x: 0, y, w: WIDTH, h: 1 } });
    y += 1;
    let [x, height] = [0, 0];
    for (const panel of own) {
      const { w, h } = panel.gridPos;
      if (x + w > WIDTH) [x, y, height] = [0, y + height, 0];
      panels.push({ ...panel, gridPos: { x, y, w, h } });
      [x, height] = [x + w, Math.max(height, h)];
    }
    y += height;
  }
  return panels.map((panel, index) => ({ id: index + 1, ...panel }));
}

/** A dashboard of Grafana. `byNode`: whether panels of it are about Redis nodes. */
export function dashboard(name, title, description, rows, { byNode = false } = {}) {
  return {
    uid: name === "overview" ? "wsmesh" : `wsmesh-${name}`,
    title,
    description,
    tags: ["wsmesh"],
    schemaVersion: 41,
    version: 1,
    editable: true,
    graphTooltip: 1,
    refresh: "10s",
    time: { from: "now-1h", to: "now" },
    timezone: "browser",
    links: [{ type: "dashboards", title: "wsmesh", tags: ["wsmesh"], asDropdown: false, includeVars: true, keepTime: true, targetBlank: false, icon: "external link", tooltip: "", url: "" }],
    templating: { list: variables(byNode) },
    annotations: { list: ANNOTATIONS },
    panels: placed(rows),
  };
}
