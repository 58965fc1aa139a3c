// The page of the tutorial "Chat in five minutes", opened as a file in two tabs, on two ws-nodes.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { WAIT_MS, launch } from "./support/browser.mjs";
import { startCluster } from "../support/cluster.mjs";

const PAGE = new URL("../../services/connector-js/examples/chat.html", import.meta.url);

let browser;
let cluster;
before(async () => {
  [browser, cluster] = await Promise.all([launch(), startCluster()]);
});
after(async () => {
  await browser?.close();
  await cluster?.stop();
});

/** A tab with the page, connected to the ws-node with this index. The ws-nodes of the test have other ports than those of the tutorial. */
async function chat(name, index) {
  const page = await (await browser.newContext()).newPage();
  page.setDefaultTimeout(WAIT_MS);
  await page.goto(PAGE.href);
  const servers = cluster.nodes.map(({ ws }) => `${ws}/`);
  await page.locator("#server option").evaluateAll((options, urls) => options.forEach((option, n) => (option.textContent = urls[n])), servers);
  await page.getByLabel("Your name").fill(name);
  await page.getByLabel("ws-node").selectOption({ index });
  await page.getByRole("button", { name: "Connect" }).click();
  await page.getByText("you are in the room tea").waitFor();
  return page;
}

async function say(page, text) {
  await page.getByLabel("Message").fill(text);
  await page.getByRole("button", { name: "Send" }).click();
}

test("two people on two ws-nodes chat, and go on at the other one when theirs stops", { timeout: 120_000 }, async () => {
  const [ann, bob] = [await chat("ann", 0), await chat("bob", 1)];
  await ann.getByText(`connected to ${cluster.nodes[0].ws}/`).waitFor();
  await say(ann, "hello, bob");
  await bob.getByText("ann: hello, bob").waitFor();
  await say(bob, "hello, ann");
  await ann.getByText("bob: hello, ann").waitFor();

  await cluster.nodes[0].stop();
  await ann.getByText("disconnected, close code 1012").waitFor();
  await ann.getByText(`connected to ${cluster.nodes[1].ws}/`).waitFor();
  await say(bob, "still there?");
  await ann.getByText("bob: still there?").waitFor();
});
