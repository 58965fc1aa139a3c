// The dashboard of an admin in a tab of its own.
import { Tab } from "./browser.mjs";

const VIEWS = { overview: "Overview", servers: "Servers", nodes: "Redis", clients: "Clients and rooms", activity: "Activity" };
export const VIEW_NAMES = Object.values(VIEWS);

export class Dashboard extends Tab {
  constructor(page) {
    super(page);
    // The page ends its own streams, and asks for another span of time before the last one came.
    this.expected.push(/^not loaded: \S+\/api\/v1\/(events|clients\/\S+\/watch|stats\/history)(\?\S*)?$/);
  }

  /** Opens the page; with a token, also logs in. */
  static async open(browser, admin, { token, ...options } = {}) {
    const context = await browser.newContext({ viewport: { width: 1360, height: 900 }, ...options });
    const dashboard = new Dashboard(await context.newPage());
    dashboard.address = admin;
    await dashboard.page.goto(admin);
    if (token) await dashboard.logIn(token);
    return dashboard;
  }

  /** Opens the page and waits for the first snapshot. */
  static async live(browser, admin, options) {
    const dashboard = await Dashboard.open(browser, admin, options);
    await dashboard.isLive();
    return dashboard;
  }

  async logIn(token) {
    await this.field("Token").fill(token);
    await this.button("Log in").click();
  }

  async isLive() {
    await this.page.locator("#live[data-state=live]").waitFor();
  }

  async view(name) {
    await this.page.getByRole("navigation").getByRole("link", { name, exact: true }).click();
    await this.page.locator(".view:visible").waitFor();
  }

  /** The row of a server in the view Servers. */
  server(name) {
    return this.page.locator("#server-table tbody tr", { has: this.page.getByText(name, { exact: true }) });
  }

  /** The card of a Redis node in the view Redis. */
  node(id) {
    return this.page.getByRole("article", { name: `Redis ${id}`, exact: true });
  }

  pill(parent, state) {
    return parent.locator(`.pill[data-state="${state}"]`);
  }

  /** Answers the question that is open; returns its title and its text. */
  async answer(button) {
    const dialog = this.page.getByRole("dialog");
    await dialog.waitFor();
    const said = { title: await dialog.getByRole("heading").innerText(), effect: await dialog.locator("#confirm-effect").innerText() };
    await dialog.getByRole("button", { name: button, exact: true }).click();
    await dialog.waitFor({ state: "hidden" });
    return said;
  }

  /** Waits until the notice at the bottom says this. */
  async told(text) {
    await this.page.locator("#notice-text", { hasText: text }).waitFor();
  }

  async find(client) {
    await this.view("Clients and rooms");
    await this.field("Client id").fill(client);
    await this.page.locator("#find-client").getByRole("button").click();
  }

  /** The requests that the page has sent since this was called, as "METHOD path". */
  requests() {
    const sent = [];
    this.page.on("request", (request) => sent.push(`${request.method()} ${new URL(request.url()).pathname}`));
    return sent;
  }
}
