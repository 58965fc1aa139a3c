// One client: where it is, its rooms, and what can be done with it.
import { Problem, ask, inWords, path } from "./api.js";
import { may } from "./caller.js";
import { confirm } from "./dialog.js";
import { button, byId, make, onSubmit } from "./dom.js";
import { clearNotices, messageOf, run } from "./forms.js";
import { tell } from "./notice.js";
import { clock, plural } from "./words.js";

const ASK_MS = 5000;
const COME_BACK = [["never", "stay away"], ["now", "come back at once"], ["30000", "come back in 30 seconds"]];

/** `watch` follows a client live. */
export function startClients(watch) {
  const client = new Client();
  onSubmit(byId("find-client"), () => client.find(byId("client-id").value));
  byId("watch-start").addEventListener("click", () => watch.start(client.id));
  byId("client-disconnect").addEventListener("click", () => client.disconnect());
  const [sending, rooms] = [byId("client-send"), byId("client-room")];
  onSubmit(sending, () => run(sending, () => client.send(messageOf(sending))));
  byId("client-ask").addEventListener("click", () => {
    if (sending.reportValidity()) run(sending, () => client.ask(messageOf(sending)));
  });
  onSubmit(rooms, () => run(rooms, () => client.move(rooms, "PUT")));
  byId("client-leave").addEventListener("click", () => {
    if (rooms.reportValidity()) run(rooms, () => client.move(rooms, "DELETE"));
  });
  return client;
}

class Client {
  id = "";
  #openRoom = () => {};

  /** Calls `action` with a room of the client that was chosen. */
  onRoom(action) {
    this.#openRoom = action;
  }

  async find(given) {
    const id = given.trim();
    byId("client-id").value = id;
    if (id !== this.id) clearNotices(byId("client"));
    this.id = id;
    say(`Asking all servers for ${id} …`);
    await this.#refresh();
  }

  /** Forgets what was found. */
  stop() {
    this.id = "";
    byId("client-id").value = "";
    byId("client").hidden = true;
    say("");
  }

  async #refresh() {
    const { id } = this;
    try {
      const found = await ask(path`clients/${id}`);
      if (id !== this.id) return;
      const words = { connected: `${id} is connected.`, offline: `${id} is not connected to any server. You can watch it until it comes back.` };
      const missing = found.missing.map(({ server }) => server).join(", ");
      say(words[found.state] ?? `It is not known whether ${id} is connected: ${missing} did not answer.`, found.state === "connected" ? "good" : "");
      byId("client-where").replaceChildren(...found.connections.map((connection) => this.#connection(connection)));
      byId("client").hidden = false;
    } catch (error) {
      if (id !== this.id) return;
      byId("client").hidden = true;
      say(inWords(error), "bad");
    }
  }

  #connection({ server, rooms, contexts }) {
    const element = make("div", "", "where");
    element.append(make("b", `On ${server}`));
    for (const context of contexts) {
      element.append(make("p", [context.since && `since ${clock(context.since)}`, context.address && `from ${context.address}`, context.path].filter(Boolean).join(", "), "hint"));
    }
    const list = make("ul", "", "chips");
    list.setAttribute("aria-label", `Rooms on ${server}`);
    for (const room of rooms) {
      const entry = make("li");
      entry.append(button(`${room.namespace}/${room.id}`, () => this.#openRoom(room), "link"));
      list.append(entry);
    }
    element.append(rooms.length ? list : make("p", "In no room.", "hint"));
    if (contexts.length && may("publisher")) element.append(contextsOf(contexts));
    return element;
  }

  async send(body) {
    const { state } = await ask(path`clients/${this.id}/messages`, { method: "POST", body });
    return state === "connected" ? `Sent to ${this.id}.` : `Sent, but it is not known whether ${this.id} is connected.`;
  }

  async ask(question) {
    const shown = byId("client-send").querySelector(".answer");
    shown.hidden = true;
    const { answer } = await ask(path`clients/${this.id}/requests`, { method: "POST", body: { ...question, timeoutMs: ASK_MS } });
    shown.textContent = JSON.stringify(answer, null, 2);
    shown.hidden = false;
    return `${this.id} answered:`;
  }

  async move(form, method) {
    const [namespace, room] = [form.elements.namespace.value.trim(), form.elements.room.value.trim()];
    await ask(path`clients/${this.id}/rooms/${namespace}/${room}`, { method });
    this.#refresh();
    return `${this.id} is ${method === "PUT" ? "in" : "no longer in"} ${namespace}/${room}.`;
  }

  async disconnect() {
    const { id } = this;
    const values = await confirm({
      title: `Disconnect ${id}?`,
      effect: `All connections of ${id} are closed, on every server.`,
      action: `Disconnect ${id}`,
      fields: [
        { name: "comeBack", label: "The client shall", choices: COME_BACK, value: "never" },
        { name: "reason", label: "Reason, told to the client", hint: "Not with a delay. At most 123 bytes." },
      ],
    });
    if (!values) return;
    const delay = Number(values.comeBack);
    const body = { comeBack: Number.isNaN(delay) ? values.comeBack : delay };
    if (values.reason && Number.isNaN(delay)) body.reason = values.reason;
    try {
      await ask(path`clients/${id}/disconnect`, { method: "POST", body });
      tell(`${id} was disconnected.`, "good");
    } catch (error) {
      tell(error instanceof Problem && error.code === "offline" ? `${id} was not connected any more.` : inWords(error), "bad");
    }
    if (id === this.id) this.#refresh();
  }
}

function contextsOf(contexts) {
  const element = make("details");
  element.append(make("summary", `What is known about ${plural(contexts.length, "connection")}`));
  for (const context of contexts) {
    const shown = make("pre", JSON.stringify(context, null, 2), "answer");
    // It scrolls, so the keyboard must get there.
    shown.tabIndex = 0;
    shown.setAttribute("role", "region");
    shown.setAttribute("aria-label", `Connection ${context.connection}`);
    element.append(shown);
  }
  return element;
}

function say(text, mood = "") {
  byId("client-notice").textContent = text;
  byId("client-notice").dataset.mood = mood;
}
