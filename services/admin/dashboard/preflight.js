// Adding a Redis node: the check of its address on several servers, what they say, and "add anyway".
import { ask, inWords } from "./api.js";
import { permit } from "./caller.js";
import { confirm } from "./dialog.js";
import { button, byId, make, onSubmit } from "./dom.js";

const CHECK_MS = 30_000;
const SIGNS = { passed: "✓", failed: "✕", unknown: "?" };

export function startAddition(jobs) {
  const url = () => byId("add-url").value.trim();
  onSubmit(byId("add"), () => add(url(), jobs, ""));
  byId("add-check").addEventListener("click", () => {
    if (byId("add").reportValidity()) check(url());
  });
}

async function check(url) {
  await busy("Checking the address …", async () => {
    const preflights = await ask("nodes/preflight", { method: "POST", body: { url }, timeoutMs: CHECK_MS });
    const failed = preflights.servers.some((server) => checksOf(server).some(({ result }) => result === "failed"));
    say(failed ? "Some checks failed." : "All checks passed: it can be added.", failed ? "bad" : "good");
    show(preflights.servers, preflights.missing);
  });
}

async function add(url, jobs, query) {
  await busy("Checking the address, then adding it …", async () => {
    try {
      const job = await ask(`nodes${query}`, { method: "POST", body: { url }, timeoutMs: CHECK_MS });
      byId("add-url").value = "";
      say(`${job.node} is added. The job is below and in the view Activity.`, "good");
      jobs.follow(job);
      byId("preflight").replaceChildren(jobs.element(job.id));
      byId("preflight").hidden = false;
    } catch (error) {
      if (error.code !== "preflight") throw error;
      say(error.message, "bad");
      show(error.body.servers ?? [], error.body.missing);
      offerAnyway(url, jobs);
    }
  });
}

function offerAnyway(url, jobs) {
  const anyway = button("Add anyway", async () => {
    const sure = await confirm({
      title: "Add this Redis node anyway?",
      effect: `Servers that cannot use ${url} will not hear it. It carries messages only once every server hears it, and the job fails if that takes too long.`,
      action: "Add anyway",
    });
    if (sure) add(url, jobs, "?force=true");
  }, "quiet danger");
  byId("preflight").append(permit(anyway, "operator"));
}

async function busy(words, work) {
  const buttons = [byId("add-go"), byId("add-check")];
  for (const one of buttons) one.disabled = true;
  byId("preflight").hidden = true;
  byId("preflight").replaceChildren();
  say(words, "");
  try {
    await work();
  } catch (error) {
    say(inWords(error), "bad");
  } finally {
    for (const one of buttons) one.disabled = false;
  }
}

function say(text, mood) {
  byId("add-notice").textContent = text;
  byId("add-notice").dataset.mood = mood;
}

function show(servers, missing = []) {
  const list = make("ul", "", "preflight");
  for (const server of servers) {
    const [name, checks] = [nameOf(server), checksOf(server)];
    const entry = make("li");
    const points = make("ul");
    for (const one of checks) points.append(point(one));
    entry.append(make("b", name), points);
    list.append(entry);
  }
  for (const one of missing) {
    const [server, why] = Array.isArray(one) ? one : [one.server, one.why];
    list.append(make("li", `${absent(server, why)}.`));
  }
  byId("preflight").append(list);
  byId("preflight").hidden = false;
}

function point({ what, result, why, fix }) {
  const element = make("li");
  element.dataset.result = result;
  const text = [what, why].filter(Boolean).join(": ");
  const sign = make("span", SIGNS[result], "sign");
  sign.setAttribute("aria-hidden", "true");
  element.append(sign, make("span", `${result}: `, "hidden"), make("span", text));
  if (fix) element.append(make("span", fix, "fix"));
  return element;
}

/** A whole result lists pairs of a server and its checks; a refusal lists only what failed. */
function nameOf(server) {
  return Array.isArray(server) ? server[0] : server.server;
}

function checksOf(server) {
  const { checks } = Array.isArray(server) ? server[1] : server;
  return checks.map(({ what, result = "failed", why, fix }) => {
    if (typeof result === "string") return { what, result, why, fix };
    const [[name, more]] = Object.entries(result);
    return { what, result: name, ...more };
  });
}
