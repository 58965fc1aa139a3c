// An auction: keeps the highest bid, answers every bid, and tells everyone in the room. Node.js 20, no dependency.
import { createServer } from "node:http";

const { PORT = "8080", ADMIN_URL = "http://127.0.0.1:9100", ADMIN_TOKEN = "" } = process.env;

let highest = 0;
let published = Promise.resolve(); // one after the other, so that prices arrive in the order in which they rise

/** Pushes an event to everyone in the room auction:7, whichever ws-node they are connected to. */
async function publish(event, payload) {
  const answer = await fetch(`${ADMIN_URL}/api/v1/rooms/auction/7/messages`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${ADMIN_TOKEN}` },
    body: JSON.stringify({ event, payload }),
    signal: AbortSignal.timeout(3000),
  });
  if (!answer.ok) console.error(`the room was not told: ${answer.status} ${await answer.text()}`);
}

async function bid(request) {
  const client = request.headers["ce-client"];
  let body = "";
  for await (const part of request.setEncoding("utf8")) body += part;
  const price = JSON.parse(body)?.price;
  if (!Number.isInteger(price)) return [400, { detail: 'a bid is {"price": WHOLE NUMBER}' }];
  console.log("bid", client, price);
  if (price <= highest) return [409, { detail: `the highest bid is ${highest}` }];
  highest = price;
  published = published.then(() => publish("price", { price, client })).catch(console.error);
  await published;
  return [200, { ok: true, price }];
}

const server = createServer(async (request, response) => {
  const [status, body] = await bid(request).catch((error) => [500, { detail: error.message }]);
  response.writeHead(status, { "content-type": status === 200 ? "application/json" : "application/problem+json" });
  response.end(JSON.stringify(body));
});
server.listen(Number(PORT), "127.0.0.1", () => console.log("the auction is open"));
