#!/usr/bin/env node
// Adds or removes a Redis node through the dashboard of the admin at WSMESH_ADMIN, prints the id of the job, and ends.
// For `make chaos ARGS="--scenario killed-admins --changes-by tests/browser/change-nodes.mjs"`.
//
//   change-nodes.mjs add redis://127.0.0.1:6380#redis-3
//   change-nodes.mjs remove redis-1
import { launch } from "./support/browser.mjs";
import { Dashboard } from "./support/dashboard.mjs";

const ADD = {
  isIt: (request) => request.method() === "POST" && new URL(request.url()).pathname === "/api/v1/nodes",
  async ask(dashboard, url) {
    await dashboard.field("URL").fill(url);
    await dashboard.button("Add").click();
  },
};
const REMOVE = {
  isIt: (request) => request.method() === "DELETE",
  async ask(dashboard, id) {
    await dashboard.button(`Drain ${id}`).click();
    await dashboard.answer(`Drain ${id}`);
  },
};

const [what, node] = process.argv.slice(2);
const change = { add: ADD, remove: REMOVE }[what];
if (!change || !node || !process.env.WSMESH_ADMIN) {
  console.error("usage: WSMESH_ADMIN=http://127.0.0.1:9100 change-nodes.mjs add URL | remove ID");
  process.exit(64);
}
const browser = await launch();
try {
  const dashboard = await Dashboard.live(browser, `${process.env.WSMESH_ADMIN}/`);
  await dashboard.view("Redis");
  const [response] = await Promise.all([dashboard.page.waitForResponse((response) => change.isIt(response.request())), change.ask(dashboard, node)]);
  if (response.status() !== 202) throw new Error(`the page was answered with ${response.status()}: ${await response.text()}`);
  console.log((await response.json()).id);
} finally {
  await browser.close();
}
