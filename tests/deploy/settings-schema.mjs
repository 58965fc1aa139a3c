// Writes the settings of ws-node, game-logic and admin into the chart's values.schema.json, or checks that they are there:
// `wsNode.settings`, `gameLogic.settings` and `admin.settings` take exactly what the services' own tests list (services/*/tests/settings.txt), with the right types.
//
//   node tests/deploy/settings-schema.mjs [--check]
import { readFileSync, writeFileSync } from "node:fs";

const SCHEMA = "charts/wsmesh/values.schema.json";
const COMMON = "services/bootstrap/tests/common_settings.txt";
const SERVICES = {
  wsNodeSettings: "services/ws-node/tests/settings.txt",
  gameLogicSettings: "services/game-logic/tests/settings.txt",
  adminSettings: "services/admin/tests/settings.txt",
};

// The chart sets these itself, from other values: the environment wins over the file, so here they would do nothing.
const OF_THE_CHART = new Set([
  "cluster_id", "listen", "log_format", "log_level", "name", "ops_listen", "ops_tls", "prefix", "profile", "redis", "redis_password_file",
  "redis_service", "shutdown_grace", "tls_certificate_file", "tls_key_file",
  "jwt_key_file", "ticket_key_file", "playground_admin_port", "playground_traces_url", "debug_token_file", "trace_slower_than",
  "kubernetes_lease", "kubernetes_redis_service", "kubernetes_redis_statefulset", "pod_deletion_cost", "token_file", "tokens_file",
]);
// Tables have values of their own.
const TABLES = new Set(["connect", "delivery", "namespaces", "rules", "watch"]);

const text = { type: "string" };
const whole = { type: "integer" };
const duration = { type: "string", pattern: "^[0-9]+([.][0-9]+)?(ms|s|m|h)$", description: "250ms, 25s, 2m or 1h" };
// Types of settings that have no default to tell them from.
const UNSET = {
  auth_cookie: text,
  compress_above: { type: ["integer", "string"] },
  debug_token_file: text,
  events_per_second: whole,
  jwks_url: { type: "string", pattern: "^https?://" },
  oidc_jwks_file: text,
  oidc_jwks_url: { type: "string", pattern: "^https?://" },
  path_prefix: { type: "string", pattern: "^/" },
  playground_traces_url: { type: "string", pattern: "^https?://" },
  public_url: { type: "string", pattern: "^wss?://" },
  state_rate: whole,
};

function typeOf(key, value) {
  if (value.startsWith("[")) return { type: "array", items: text };
  if (value === "true" || value === "false") return { type: "boolean" };
  // A service may have another default as text, such as worker_threads of game-logic.
  if (key === "worker_threads") return whole;
  if (/^"[0-9.]+(ms|s|m|h)"$/.test(value)) return duration;
  if (value.startsWith('"')) return text;
  return value.includes(".") ? { type: "number" } : whole;
}

function settings(file) {
  const found = new Map();
  for (const line of readFileSync(file, "utf8").split("\n")) {
    const unset = /^# ([a-z_]+) is not set$/.exec(line);
    const set = /^([a-z_]+) = (.*)$/.exec(line);
    const key = unset?.[1] ?? set?.[1];
    if (!key || OF_THE_CHART.has(key) || TABLES.has(key)) continue;
    if (unset && !UNSET[key]) throw new Error(`${file}: what type has ${key}? Name it in ${import.meta.filename}`);
    found.set(key, unset ? UNSET[key] : typeOf(key, set[2]));
  }
  return found;
}

const before = readFileSync(SCHEMA, "utf8");
const schema = JSON.parse(before);
for (const [name, file] of Object.entries(SERVICES)) {
  const all = [...settings(COMMON), ...settings(file)].sort(([a], [b]) => (a < b ? -1 : 1));
  schema.definitions[name] = { type: "object", additionalProperties: false, properties: Object.fromEntries(all) };
}
const after = `${JSON.stringify(schema, null, 2)}\n`;
if (after === before) {
  console.log(`${SCHEMA} has every setting`);
} else if (process.argv.includes("--check")) {
  console.error(`${SCHEMA} has not the settings that the services have: run node tests/deploy/settings-schema.mjs and commit the result`);
  process.exit(1);
} else {
  writeFileSync(SCHEMA, after);
  console.log(`${SCHEMA} written`);
}
