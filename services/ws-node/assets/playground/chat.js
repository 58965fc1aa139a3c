// Rooms and messages: the demo events joinRoom, leaveRoom and command, and the event say that clients get.
import { append, byId, clock, make, onSubmit } from "./dom.js";

const LINES = 200;
const ADDRESS = { toRoom: "Room", toPlayer: "Client id" };

export class Chat {
  #connection;
  #rooms = new Set();
  /** Numbers of own messages that are already in the log: the reply and the copy that comes back race. */
  #logged = new Set();
  #last = 0;

  constructor(connection) {
    this.#connection = connection;
    connection.onClient((client) => this.#listen(client));
    onSubmit("join", () => this.#join());
    onSubmit("send", () => this.#send());
    byId("to").addEventListener("change", () => this.#address());
    this.#address();
    this.#showRooms();
  }

  #listen(client) {
    // The SDK's rooms end with its client.
    this.#rooms.clear();
    this.#showRooms();
    client.on("say", (payload) => this.#said(payload));
    client.on("room-lost", ({ roomId }) => {
      this.#rooms.delete(String(roomId));
      this.#showRooms();
    });
  }

  async #join() {
    const room = byId("room").value.trim();
    const { client } = this.#connection;
    await this.#attempt(async () => {
      await client.joinRoom(room);
      if (client !== this.#connection.client) return;
      this.#rooms.add(room);
      this.#showRooms();
      this.#notice(`You are in ${room}; after a reconnect you will be again.`);
      byId("to").value = "toRoom";
      byId("address").value = room;
      this.#address();
    });
  }

  async #leave(room) {
    this.#rooms.delete(room);
    this.#showRooms();
    byId("room").focus();
    await this.#attempt(async () => {
      await this.#connection.client?.leaveRoom(room);
      this.#notice(`You left ${room}.`);
    });
  }

  #showRooms() {
    const chips = [...this.#rooms].map((room) => {
      const chip = make("li", room);
      const leave = make("button", "×");
      leave.type = "button";
      leave.ariaLabel = `Leave ${room}`;
      leave.addEventListener("click", () => this.#leave(room));
      chip.append(leave);
      return chip;
    });
    byId("rooms").replaceChildren(...(chips.length ? chips : [make("li", "no room yet", "none")]));
  }

  #address() {
    const name = ADDRESS[byId("to").value];
    byId("address-label").hidden = !name;
    byId("address").required = !!name;
    if (name) byId("address-name").textContent = name;
  }

  async #send() {
    const [action, address, text] = [byId("to").value, byId("address").value.trim(), byId("text").value];
    const msg = { from: this.#connection.id, text, n: ++this.#last };
    const payload = { action, msg };
    if (action === "toRoom") {
      payload.roomId = msg.room = address;
    } else if (action === "toPlayer") {
      payload.toPlayerId = address;
    }
    await this.#attempt(async () => {
      const { offline = [] } = await this.#connection.request("command", payload);
      byId("text").value = "";
      this.#notice(offline.length ? `${offline.join(", ")} is not connected anywhere.` : "");
      // The sender gets no copy of a message to others only.
      if (!offline.length && !this.#logged.delete(msg.n)) {
        this.#logged.add(msg.n);
        this.#log(msg.from, where(action, msg, address), text, true);
      }
    });
  }

  #said(payload) {
    const { action, msg } = payload && typeof payload === "object" ? payload : { msg: payload };
    const ours = msg && typeof msg === "object" && typeof msg.text === "string";
    const { from = "?", text = "", n } = ours ? msg : { from: "somebody", text: typeof msg === "string" ? msg : JSON.stringify(payload) };
    const own = from === this.#connection.id;
    if (own && this.#logged.delete(n)) return;
    if (own) this.#logged.add(n);
    this.#log(String(from), where(action, ours ? msg : {}, "you"), text, own);
  }

  #log(from, to, text, own) {
    const line = make("div", "", own ? "own" : "");
    const head = make("span", "", "head");
    head.append(make("b", from), make("span", to ? ` to ${to}` : "", "soft"), make("time", clock().slice(0, 8)));
    line.append(head, make("span", text, "said"));
    append(byId("messages"), line, LINES);
  }

  #notice(text, bad = false) {
    byId("chat-notice").textContent = text;
    byId("chat-notice").classList.toggle("bad", bad);
  }

  async #attempt(action) {
    try {
      await action();
    } catch (error) {
      this.#notice(`${error.errorCode ?? "error"}: ${error.error ?? error.message}`, true);
    }
  }
}

function where(action, { room }, client) {
  if (action === "broadcast") return "everyone";
  if (action === "toRoom") return `room ${room ?? "?"}`;
  return action === "toPlayer" || action === "toPlayers" ? client : "";
}
