// The connection panel: makes the SDK's client from the form, and shows the state of its connection.
import { append, byId, clock, make, milliseconds, onSubmit } from "./dom.js";
import { tapped } from "./tap.js";

const LINES = 50;
const STATES = { connecting: "Connecting to", open: "Connected to", waiting: "Reconnecting to", closed: "Not connected" };
const CODES = { 1012: "the server stops or restarts", 4001: "by hand", 4002: "no answer to the heartbeat", 4012: "the same id logged in elsewhere", 1006: "without a close frame" };

/** The connection for the other panels. Each press on "Connect" makes a new client. */
export class Connection {
  client = null;
  id = "";
  #node = "";
  #reconnects = 0;
  #nextAt = 0;
  #timer = 0;
  #made = [];
  #changed = [];
  #socket;

  #traces;

  /** Calls `report` for every frame, see tap.js. */
  constructor(traces, report) {
    this.#traces = traces;
    this.#socket = tapped(report);
    offerNodes();
    onSubmit("connection", () => this.connect());
    byId("disconnect").addEventListener("click", () => this.disconnect());
    byId("heartbeat").addEventListener("change", () => this.client?.setPingInterval(Number(byId("heartbeat").value), true));
    document.addEventListener("click", (event) => this.#needsConnection(event), true);
    this.#show("closed");
    // A link may connect to a node that the form offers; the user must confirm any other server.
    const wanted = new URLSearchParams(location.search).has("connect") && byId("node").value;
    if (wanted) queueMicrotask(() => this.connect());
  }

  /** Calls `listen(client)` for each new client. */
  onClient(listen) {
    this.#made.push(listen);
  }

  /** Calls `listen(open)` whenever the connection's state changed. */
  onChange(listen) {
    this.#changed.push(listen);
  }

  /** Sends a request; also rejects when there is no client. */
  request(event, payload, options) {
    if (!this.client) return Promise.reject(new wsmesh.RequestError({ error: "connect first", errorCode: "WS_NOT_OPEN" }));
    return this.client.request(event, payload, options);
  }

  connect() {
    this.disconnect();
    const urls = chosen();
    const params = Object.fromEntries(new URLSearchParams(byId("params").value.trim()));
    this.id = byId("client").value.trim();
    let client;
    try {
      this.#node = new URL(urls[0]).host;
      client = new wsmesh.Connector({
        url: urls,
        customParams: { ...params, id: this.id },
        pingInterval: Number(byId("heartbeat").value),
        WebSocket: this.#socket,
        traceparent: (event) => this.#traces.begin(event),
      });
    } catch (error) {
      this.#log(`${urls} is not an address to connect to: ${error.message}`, "bad");
      return;
    }
    this.client = client;
    this.#reconnects = 0;
    byId("reconnects").textContent = "0";
    client.on("state", (state) => this.#show(state));
    client.on("open", () => this.#opened());
    client.on("close", (closed) => this.#closed(closed));
    client.on("reconnect", (next) => this.#waits(next));
    client.on("room-lost", ({ roomId, error }) => this.#log(`room ${roomId} is lost: ${error}`, "bad"));
    this.#show(client.state);
    for (const listen of this.#made) listen(client);
  }

  disconnect() {
    if (!this.client) return;
    const { client } = this;
    this.client = null;
    const wasOpen = client.state !== "closed";
    client.manualClose();
    if (wasOpen) this.#log("disconnected by hand");
    this.#show("closed");
  }

  #opened() {
    this.#log(`open: ${this.#node} as ${this.id}`, "good");
  }

  #closed({ code, reason, willReconnect }) {
    const why = [CODES[code], reason].filter(Boolean).join(", ");
    this.#log(`closed: ${code}${why ? ` (${why})` : ""}${willReconnect ? "" : "; no reconnect"}`, "bad");
  }

  #waits({ repeat, timeout }) {
    this.#reconnects += 1;
    byId("reconnects").textContent = String(this.#reconnects);
    this.#nextAt = performance.now() + timeout;
    this.#log(`attempt ${repeat} in ${milliseconds(timeout)}`);
    this.#count();
  }

  #show(state) {
    // The client takes the next one of the list after one that stops or fails.
    if (this.client) this.#node = new URL(this.client.url).host;
    const status = byId("status");
    status.dataset.state = state;
    status.textContent = state === "closed" ? STATES.closed : `${STATES[state]} ${this.#node}${state === "open" ? ` as ${this.id}` : ""}`;
    for (const button of document.querySelectorAll("[data-online]")) button.ariaDisabled = String(state !== "open");
    byId("disconnect").ariaDisabled = String(state === "closed");
    byId("connect").textContent = state === "closed" ? "Connect" : "Reconnect";
    clearInterval(this.#timer);
    if (state === "waiting") this.#timer = setInterval(() => this.#count(), 100);
    else byId("countdown").textContent = "";
    for (const listen of this.#changed) listen(state === "open");
  }

  #count() {
    const left = Math.max(0, this.#nextAt - performance.now());
    byId("countdown").textContent = `in ${(left / 1000).toFixed(1)} s`;
  }

  /** Buttons that need a connection stay focusable without one, so that the focus is not lost with the connection. */
  #needsConnection(event) {
    const button = event.target.closest?.("button[aria-disabled=true]");
    if (!button) return;
    event.preventDefault();
    event.stopPropagation();
    if (button.hasAttribute("data-online")) this.#log("that needs a connection: press “Connect” first", "bad");
  }

  #log(text, kind = "") {
    const line = make("div");
    line.append(make("time", clock()), make("span", ` ${text}`, kind));
    append(byId("events"), line, LINES);
  }
}

/** The URL to connect to first, and those to use when it stops or fails. */
function chosen() {
  const node = byId("node");
  if (!node.value) return byId("url").value.trim().split(/\s+/);
  const offered = [...node.options].map(({ value }) => value).filter((value) => value && value !== node.value);
  return [node.value, ...offered];
}

/** Fills the form: this ws-node, the other one of `make run` and docker-compose.yml, or any URL. */
function offerNodes() {
  const query = new URLSearchParams(location.search);
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  const here = `${scheme}//${location.host}`;
  const otherPort = { 9000: 9001, 9001: 9000 }[location.port];
  const there = otherPort ? `${scheme}//${location.hostname}:${otherPort}` : here;
  const [node, url, client] = [byId("node"), byId("url"), byId("client")];
  node.append(new Option(`this one (${location.host})`, here));
  if (there !== here) node.append(new Option(`the other one (${location.hostname}:${otherPort})`, there));
  node.append(new Option("another, by its URL", ""));
  const wanted = query.get("node");
  if (wanted) {
    const known = [...node.options].some((option) => option.value === wanted);
    node.value = known ? wanted : "";
    if (!known) url.value = wanted;
  }
  client.value = query.get("id") || `player-${Math.floor(1000 + Math.random() * 9000)}`;
  const changed = () => {
    byId("url-label").hidden = node.value !== "";
    url.required = node.value === "";
    const next = node.value === here ? there : here;
    byId("second").href = `?${new URLSearchParams({ node: next, connect: "" })}`;
  };
  node.addEventListener("change", changed);
  changed();
}
