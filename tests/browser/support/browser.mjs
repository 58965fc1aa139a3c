// Debian's Chromium, and pages that collect their errors.
import assert from "node:assert/strict";
import axe from "axe-core";
import { chromium } from "playwright-core";

const executablePath = process.env.WSMESH_CHROMIUM ?? "/usr/bin/chromium";
export const WAIT_MS = 15_000;

export function launch() {
  return chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-background-networking"] });
}

/** The browser's message when a server is down or draining. It cannot be suppressed, and is expected while a server restarts. */
const SERVER_AWAY =
  /^WebSocket connection to 'ws:[^']*' failed: Error (in connection establishment: net::ERR_CONNECTION_(REFUSED|RESET)|during WebSocket handshake: Unexpected response code: 503)/;

/** A page in its own tab. */
export class Tab {
  constructor(page) {
    this.page = page;
    /** Errors on the console, exceptions, violations of the Content-Security-Policy. */
    this.problems = [];
    this.serverMayBeAway = false;
    /** What a test provokes: problems that match are none. */
    this.expected = [];
    this.closing = false;
    page.setDefaultTimeout(WAIT_MS);
    page.on("console", (message) => {
      if (!["error", "warning"].includes(message.type())) return;
      if (this.serverMayBeAway && SERVER_AWAY.test(message.text())) return;
      this.problems.push(`console ${message.type()}: ${message.text()}`);
    });
    page.on("pageerror", (error) => this.problems.push(`exception: ${error.stack}`));
    page.on("requestfailed", (request) => {
      // Requests that are under way when the tab is closed, or goes to another page, are given up by the browser itself.
      if (!this.closing && request.failure()?.errorText !== "net::ERR_ABORTED") this.problems.push(`not loaded: ${request.url()}`);
    });
    page.on("response", (response) => {
      if (response.status() >= 400) this.problems.push(`${response.status()}: ${response.url()}`);
    });
  }

  field(label) {
    return this.page.getByLabel(label, { exact: true });
  }

  choice(label) {
    return this.page.getByRole("combobox", { name: label, exact: true });
  }

  button(name) {
    return this.page.getByRole("button", { name, exact: true });
  }

  panel(name) {
    return this.page.getByRole("region", { name, exact: true });
  }

  /** Resolves when the page is drawn. */
  drawn() {
    return this.page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done()))));
  }

  /** The serious and critical problems that axe finds. */
  async barriers() {
    await this.page.evaluate(axe.source);
    const { violations } = await this.page.evaluate(() => globalThis.axe.run());
    return violations
      .filter(({ impact }) => impact === "serious" || impact === "critical")
      .flatMap(({ id, help, nodes }) => nodes.map(({ html }) => `${id}: ${help}: ${html}`));
  }

  /** How much wider the page is than its window, in CSS pixels. */
  overflow() {
    return this.page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  }

  /** Closes the tab; fails if there were errors in it. */
  async close() {
    this.closing = true;
    await this.page.context().close();
    const unexpected = this.problems.filter((problem) => !this.expected.some((pattern) => pattern.test(problem)));
    assert.deepEqual(unexpected, []);
  }
}

/** A playground in its own tab. */
export class Playground extends Tab {
  static async open(browser, node, { id, query, ...options } = {}) {
    const context = await browser.newContext({ viewport: { width: 1360, height: 900 }, ...options });
    const playground = new Playground(await context.newPage());
    await playground.page.goto(query ? `${node.http}?${new URLSearchParams(query)}` : node.http);
    if (id) await playground.field("Client id").fill(id);
    return playground;
  }

  /** Opens the page and connects, to its own ws-node or to that of `url`. */
  static async connected(browser, node, { url, ...options }) {
    const playground = await Playground.open(browser, node, options);
    if (url) {
      await playground.choice("ws-node").selectOption("");
      await playground.field("URL of the ws-node").fill(url);
    }
    await playground.button("Connect").click();
    await playground.status("Connected to");
    return playground;
  }

  async status(text) {
    await this.page.locator("#status", { hasText: text }).waitFor();
  }

  async join(room) {
    await this.page.locator("#room").fill(room);
    await this.button("Join").click();
    await this.button(`Leave ${room}`).waitFor();
  }

  async say(text, to, address) {
    const panel = this.panel("Rooms and messages");
    await this.choice("To").selectOption(to);
    if (address) await panel.locator("#address").fill(address);
    await panel.getByLabel("Message", { exact: true }).fill(text);
    await panel.getByRole("button", { name: "Send", exact: true }).click();
  }

  /** Waits for a message in the log and returns the line as people see it. */
  async heard(text) {
    const line = this.page.locator("#messages > div", { hasText: text });
    await line.waitFor();
    return (await line.innerText()).replace(/\s+/g, " ");
  }

  /** Sends a request from the requests panel and returns what is shown. */
  async ask(event, payload) {
    const panel = this.panel("Requests");
    await panel.getByLabel("Event", { exact: true }).fill(event);
    await panel.getByLabel("Payload (JSON)").fill(payload);
    await panel.getByRole("button", { name: "Ask", exact: true }).click();
    const title = panel.locator("#outcome .title", { hasText: `${event} ·` });
    await title.waitFor();
    return { title: await title.innerText(), text: await panel.locator("#outcome pre").innerText() };
  }
}
