// Who may do what on the dashboard, and that nothing that clients send becomes part of the page.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Playground, launch } from "./support/browser.mjs";
import { Dashboard } from "./support/dashboard.mjs";
import { startCluster } from "../support/cluster.mjs";

const TOKENS = { viewer: "a-token-that-only-reads-0123456789", operator: "a-token-that-may-do-all-0123456789" };
let browser;
let cluster;
let folder;
before(async () => {
  folder = mkdtempSync(join(tmpdir(), "wsmesh-dashboard-"));
  const entries = Object.entries(TOKENS).map(([role, token]) => {
    const sha256 = createHash("sha256").update(token).digest("hex");
    return `[[tokens]]\nname = "the-${role}"\nrole = "${role}"\nsha256 = "${sha256}"\n`;
  });
  writeFileSync(join(folder, "tokens.toml"), entries.join("\n"), { mode: 0o600 });
  const adminFlags = [`--tokens-file=${join(folder, "tokens.toml")}`];
  [browser, cluster] = await Promise.all([launch(), startCluster({ services: ["admin"], adminFlags })]);
});
after(async () => {
  await browser?.close();
  await cluster?.stop();
  if (folder) rmSync(folder, { recursive: true });
});

test("a wrong token is refused, a right one opens the page, and neither is kept", async () => {
  const page = await Dashboard.open(browser, cluster.admin);
  assert.equal(await page.page.evaluate(() => document.activeElement.id), "token");
  page.expected.push(/401/);
  await page.logIn("not-a-token-of-this-admin");
  await page.page.getByRole("alert").filter({ hasText: "does not accept this token" }).waitFor();
  await page.logIn(TOKENS.operator);
  await page.isLive();
  assert.equal(await page.page.locator("#caller").innerText(), "the-operator · operator");
  const kept = await page.page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie, document.documentElement.outerHTML, document.getElementById("token").value]));
  assert.ok(!kept.includes(TOKENS.operator), "the token is only in memory");
  await page.page.reload();
  await page.field("Token").waitFor();
  await page.logIn(TOKENS.operator);
  await page.isLive();
  await page.button("Log out").click();
  await page.field("Token").waitFor();
  assert.equal(await page.page.locator("#page").isVisible(), false);
  await page.close();
});

test("a viewer sees everything; what it may not do is disabled, says why, and sends nothing", async () => {
  const page = await Dashboard.live(browser, cluster.admin, { token: TOKENS.viewer });
  await page.view("Servers");
  await page.server("ws-0").waitFor();
  const sent = page.requests();
  const drain = page.button("Drain ws-0");
  assert.equal(await drain.getAttribute("aria-disabled"), "true");
  // Playwright would wait until it is enabled.
  await drain.click({ force: true });
  await page.told("This needs the role operator. You are viewer.");
  assert.equal(await page.page.getByRole("dialog").isVisible(), false);
  await page.view("Redis");
  await page.field("URL").fill("redis://127.0.0.1:1#redis-9");
  await page.field("URL").press("Enter");
  await page.view("Clients and rooms");
  await page.page.locator("#broadcast .reason", { hasText: "This needs the role publisher. You are viewer." }).waitFor();
  await page.page.locator("#broadcast").getByLabel("Event").fill("say");
  await page.page.locator("#broadcast").getByLabel("Event").press("Enter");
  await page.told("This needs the role publisher");
  assert.equal(await page.page.getByRole("dialog").isVisible(), false);
  assert.deepEqual(sent.filter((request) => !request.startsWith("GET")), []);
  const direct = await fetch(`${cluster.admin}api/v1/broadcast`, {
    method: "POST",
    headers: { authorization: `Bearer ${TOKENS.viewer}`, "content-type": "application/json" },
    body: '{"event": "say"}',
  });
  assert.equal(direct.status, 403, "admin itself refuses, too");
  await page.close();
});

test("names and payloads of clients stay text", async () => {
  const evil = "<img src=x onerror=globalThis.broken=1>";
  const client = await Playground.connected(browser, cluster.nodes[0], { id: evil });
  await client.join(evil);
  const page = await Dashboard.live(browser, cluster.admin, { token: TOKENS.operator });
  await page.page.locator("#by-members").getByRole("button", { name: evil }).first().click();
  await page.page.locator("#members").getByRole("button", { name: evil, exact: true }).click();
  await page.page.locator("#client-notice", { hasText: `${evil} is connected.` }).waitFor();
  await page.page.locator("#watch-payloads").evaluate((box) => (box.checked = true));
  await page.button("Watch live").click();
  await page.page.locator("#watched li[data-kind=connected]").first().waitFor();
  await client.say(evil, "broadcast");
  await page.page.locator("#watched code", { hasText: evil }).first().waitFor();
  await page.button("Disconnect").click();
  assert.ok((await page.answer("Cancel")).title.includes(evil));
  assert.equal(await page.page.evaluate(() => globalThis.broken), undefined);
  assert.equal(await page.page.locator("img[src=x]").count(), 0);
  // A violation of the Content-Security-Policy would be on the console: close() fails then.
  await Promise.all([client.close(), page.close()]);
});

test("the pages forbid inline code and framing, and their files do not need a token", async () => {
  const answer = await fetch(cluster.admin);
  const policy = answer.headers.get("content-security-policy");
  assert.match(policy, /default-src 'none'; script-src 'self'; style-src 'self';/);
  assert.match(policy, /frame-ancestors 'none'; require-trusted-types-for 'script'/);
  assert.doesNotMatch(policy, /unsafe/);
  const page = await answer.text();
  for (const [, file] of page.matchAll(/(?:src|href)="(dashboard\/[^"]+)"/g)) {
    assert.equal((await fetch(`${cluster.admin}${file}`)).status, 200, file);
  }
});

test("an audit that lacks the records of an admin says so", async () => {
  const page = await Dashboard.open(browser, cluster.admin);
  const answer = { asOf: new Date().toISOString(), complete: false, missing: [{ server: "admin-1", why: "did not answer in time" }], records: [], next: null };
  await page.page.route("**/api/v1/audit?*", (route) => route.fulfill({ json: answer }));
  await page.logIn(TOKENS.viewer);
  await page.isLive();
  await page.view("Activity");
  await page.page.locator("#audit-missing", { hasText: "records are missing here. admin-1 did not answer in time." }).waitFor();
  await page.close();
});
