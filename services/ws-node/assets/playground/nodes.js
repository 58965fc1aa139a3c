// Stops and resumes ws-nodes through admin's API, to show how their clients move. Only shown if the ws-node knows on which
// port of this host admin is (the demo profile), and admin answers.
import { byId, make } from "./dom.js";

const EVERY_MS = 2000;
const ANSWER_MS = 5000;
/** How long a stopped ws-node takes to send its clients away. */
const WITHIN_MS = 1000;

export class Nodes {
  #api = "";
  /** By name. Whether one is stopped is known from admin's answers to this page only. */
  #nodes = new Map();
  #missed = false;

  constructor() {
    // Without admin there are no buttons.
    this.#begin().catch(() => {});
  }

  async #begin() {
    const { port } = await ask("playground/admin.json");
    // A page that came over TLS may not use an API over plain HTTP.
    if (!port || location.protocol !== "http:") return;
    this.#api = `http://${location.hostname}:${port}/api/v1/`;
    await this.#refresh();
    byId("nodes").hidden = false;
    setInterval(() => document.hidden || this.#refresh().catch(() => this.#miss(true)), EVERY_MS);
  }

  async #refresh() {
    const { services } = await ask(`${this.#api}cluster`);
    this.#miss(false);
    const servers = services.find(({ service }) => service === "ws-node")?.servers ?? [];
    for (const server of servers) this.#show(server);
    for (const [name, node] of this.#nodes) {
      if (servers.some((server) => server.name === name)) continue;
      node.line.remove();
      this.#nodes.delete(name);
    }
  }

  #show({ name, instance, clients }) {
    let node = this.#nodes.get(name);
    if (!node) {
      node = { line: make("li"), state: make("span"), button: make("button", "", "quiet"), instance, stopped: false, clients };
      node.button.type = "button";
      node.button.addEventListener("click", () => this.#toggle(name, node));
      node.line.append(make("b", name), node.state, node.button);
      byId("node-list").append(node.line);
      this.#nodes.set(name, node);
    }
    // Another process has the name now: this one was not stopped.
    if (node.instance !== instance) node.stopped = false;
    Object.assign(node, { instance, clients });
    draw(name, node);
  }

  async #toggle(name, node) {
    const action = node.stopped ? "resume" : "drain";
    try {
      const { draining } = await ask(`${this.#api}servers/${encodeURIComponent(name)}/${action}`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(action === "drain" ? { withinMs: WITHIN_MS } : {}),
      });
      node.stopped = draining;
      this.#tell(draining ? `${name} sends its clients away: they reconnect to another one.` : `${name} accepts clients again.`);
    } catch (error) {
      this.#tell(`${name} could not be changed: ${error.message}`);
    }
    draw(name, node);
  }

  #miss(missed) {
    if (missed !== this.#missed) this.#tell(missed ? "Admin does not answer." : "Admin answers again.");
    this.#missed = missed;
  }

  #tell(text) {
    byId("nodes-notice").textContent = text;
  }
}

function draw(name, { state, button, stopped, clients }) {
  state.textContent = `${clients} ${clients === 1 ? "client" : "clients"}${stopped ? ", stopped" : ""}`;
  button.textContent = `${stopped ? "Resume" : "Stop"} ${name}`;
}

async function ask(url, options) {
  const answer = await fetch(url, { ...options, signal: AbortSignal.timeout(ANSWER_MS) });
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.detail ?? `HTTP ${answer.status}`);
  return body;
}
