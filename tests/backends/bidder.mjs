// A client of the auction, made with the JavaScript SDK: bids, and keeps the prices that it hears of.
import { createRequire } from "node:module";
import { Connector } from "../../services/connector-js/dist/connector.js";
import { until } from "../support/cluster.mjs";

const require = createRequire(new URL("../../services/connector-js/package.json", import.meta.url));
/** Longer than any reply may take on a busy machine. */
const PATIENCE_MS = 40_000;

export class Bidder {
  #prices = [];
  #closed = false;

  constructor(url, name) {
    this.name = name;
    this.client = new Connector({ url, customParams: { id: name }, WebSocket: require("ws"), callbackTimeout: PATIENCE_MS });
    this.client.on("price", ({ price }) => this.#prices.push(price));
    this.client.on("closed", () => (this.#closed = true));
  }

  /** Connects and joins the room of the auction. */
  static async connect(url, name) {
    const bidder = new Bidder(url, name);
    await bidder.client.opened();
    await bidder.client.joinRoom("7", "auction");
    return bidder;
  }

  /** Bids; resolves to `{ reply }` or to `{ code, text }`. */
  bid(price) {
    const refused = ({ error, errorCode }) => ({ code: errorCode, text: error });
    return this.client.request("placeBid", { price }).then((reply) => ({ reply }), refused);
  }

  /** The prices that it heard of until the auction was closed, at least so many. */
  async heard(atLeast) {
    await until(`${this.name} has heard of everything`, () => this.#closed && this.#prices.length >= atLeast);
    return this.#prices;
  }

  leave() {
    this.client.manualClose();
  }
}
