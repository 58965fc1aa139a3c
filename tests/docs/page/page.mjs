// What the documents' JavaScript finds around it: a browser's page, the frameworks that it names, and a ws-node to talk to.
// Loaded before it (node --import); after it, `finish()` waits until its connection stands.
import { createRequire } from "node:module";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";

const LIMIT_MS = 30_000;
const { DOCUMENTS_URL, DOCUMENTS_CONNECTOR } = process.env;
const ofConnector = createRequire(join(DOCUMENTS_CONNECTOR, "package.json"));
const { WebSocket: Socket } = ofConnector("ws");

/** The connections that were asked for, and whether each has stood. */
const connections = [];
class WebSocket extends Socket {
  constructor(...args) {
    super(...args);
    const connection = { stood: false };
    connections.push(connection);
    this.on("open", () => (connection.stood = true));
  }
}

const page = new EventTarget();
const give = (values) => {
  for (const [name, value] of Object.entries(values)) Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
};
give({
  WebSocket,
  addEventListener: page.addEventListener.bind(page),
  dispatchEvent: page.dispatchEvent.bind(page),
  document: Object.assign(new EventTarget(), { hidden: true }),
  navigator: { onLine: true, locks: { request: (_, granted) => granted() } },
  confirm: () => true,
  fetch: async () => ({ text: async () => "a token" }),
  require: createRequire(join(process.cwd(), "page.js")),
});
give({ window: globalThis });

// React and Vue, as far as a component that is shown once needs them.
give({
  useState: (value) => [value, () => {}],
  useEffect: (effect) => effect(),
  useRef: (current) => ({ current }),
  ref: (value) => ({ value }),
  onScopeDispose: () => {},
});

// The sockets of mini-programs.
give({
  wx: {
    connectSocket({ url, protocols }) {
      const socket = new WebSocket(url, protocols);
      return {
        onOpen: (told) => socket.on("open", () => told({})),
        onMessage: (told) => socket.on("message", (data) => told({ data: data.toString() })),
        onError: (told) => socket.on("error", told),
        onClose: (told) => socket.on("close", (code, reason) => told({ code, reason: reason.toString() })),
        send: ({ data }) => socket.send(data),
        close: ({ code, reason }) => socket.close(code, reason),
      };
    },
  },
});

const { Connector } = await import(pathToFileURL(join(DOCUMENTS_CONNECTOR, "dist/connector.js")));
const client = new Connector({ url: DOCUMENTS_URL, customParams: { id: "given" } });
await client.opened();
give({ Connector, client, url: `${DOCUMENTS_URL}?id=page`, token: "a token" });

give({
  async finish() {
    const end = Date.now() + LIMIT_MS;
    // One that is given up for another may never have stood.
    while (connections.length && !connections.at(-1).stood) {
      if (Date.now() > end) throw new Error("the connection that it asks for does not stand");
      await sleep(10);
    }
    process.exit(0);
  },
});
