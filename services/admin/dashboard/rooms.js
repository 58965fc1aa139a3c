// Rooms: finding them, the members of one, sending to it, destroying it.
import { ask, inWords, path } from "./api.js";
import { confirm } from "./dialog.js";
import { button, byId, make, onSubmit } from "./dom.js";
import { clearNotices, messageOf, run } from "./forms.js";
import { tell } from "./notice.js";
import { plural } from "./words.js";

const ROOMS = 50;
const MEMBERS = 100;

export function startRooms() {
  const rooms = new Rooms();
  onSubmit(byId("find-rooms"), () => rooms.find());
  byId("rooms-more").addEventListener("click", () => rooms.more());
  byId("members-more").addEventListener("click", () => rooms.moreMembers());
  byId("room-destroy").addEventListener("click", () => rooms.destroy());
  const sending = byId("room-send");
  onSubmit(sending, () => run(sending, () => rooms.send(messageOf(sending))));
  return rooms;
}

class Rooms {
  #room = null;
  #nextRooms = null;
  #nextMembers = null;
  #openMember = () => {};

  /** Calls `action` with the id of a member that was chosen. */
  onMember(action) {
    this.#openMember = action;
  }

  async find() {
    byId("rooms").replaceChildren();
    this.#nextRooms = null;
    await this.more();
  }

  async more() {
    const query = new URLSearchParams({ limit: ROOMS, prefix: byId("room-prefix").value.trim() });
    const namespace = byId("room-namespace").value.trim();
    if (namespace) query.set("namespace", namespace);
    if (this.#nextRooms) query.set("cursor", this.#nextRooms);
    try {
      const { count, rooms, next, missing } = await ask(`rooms?${query}`);
      byId("rooms").append(...rooms.map((room) => this.#line(room)));
      this.#nextRooms = next;
      const silent = missing.length ? ` Not counted: ${missing.map(({ server }) => server).join(", ")}.` : "";
      say(count ? `${plural(count, "room")} found.${silent}` : `No such room has members.${silent}`);
    } catch (error) {
      say(inWords(error), "bad");
    }
    byId("rooms-more").hidden = !this.#nextRooms;
  }

  #line(room) {
    const element = make("li");
    element.append(button(`${room.namespace}/${room.id}`, () => this.open(room), "link"), make("span", plural(room.members, "member")));
    return element;
  }

  /** Shows a room with its members. */
  async open({ namespace, id }) {
    this.#room = { namespace, id };
    clearNotices(byId("room"));
    byId("room-name").textContent = `${namespace}/${id}`;
    byId("members").replaceChildren();
    byId("room").hidden = false;
    this.#nextMembers = null;
    await this.moreMembers();
    byId("room-name").focus();
  }

  /** Forgets what was found. */
  stop() {
    this.#room = null;
    byId("room").hidden = true;
    byId("rooms").replaceChildren();
    byId("rooms-more").hidden = true;
    say("");
  }

  async moreMembers() {
    const room = this.#room;
    const query = new URLSearchParams({ limit: MEMBERS });
    if (this.#nextMembers) query.set("cursor", this.#nextMembers);
    try {
      const { count, members, next } = await ask(`${path`rooms/${room.namespace}/${room.id}`}?${query}`);
      if (room !== this.#room) return;
      this.#nextMembers = next;
      byId("room-count").textContent = plural(count, "member");
      byId("members").append(...members.map(({ client, server }) => {
        const entry = make("li");
        entry.append(button(client, () => this.#openMember(client), "link"), make("small", server));
        return entry;
      }));
    } catch (error) {
      byId("room-count").textContent = inWords(error);
    }
    byId("members-more").hidden = !this.#nextMembers;
  }

  async send(body) {
    const { namespace, id } = this.#room;
    const { servers } = await ask(path`rooms/${namespace}/${id}/messages`, { method: "POST", body });
    return servers === null ? "Accepted: it goes out as soon as a Redis is heard." : `Sent to ${plural(servers, "server")}.`;
  }

  async destroy() {
    const { namespace, id } = this.#room;
    const name = `${namespace}/${id}`;
    const values = await confirm({
      title: `Destroy the room ${name}?`,
      effect: "Every member is taken out of it, on every server. The clients stay connected.",
      action: `Destroy ${name}`,
      fields: [{ name: "event", label: "Last event to the members", hint: "Empty: they are told nothing." }],
    });
    if (!values) return;
    try {
      await ask(path`rooms/${namespace}/${id}`, { method: "DELETE", body: values.event ? { event: values.event } : {} });
      tell(`${name} was destroyed.`, "good");
    } catch (error) {
      tell(inWords(error), "bad");
    }
    await this.open({ namespace, id });
  }
}

function say(text, mood = "") {
  byId("room-notice").textContent = text;
  byId("room-notice").dataset.mood = mood;
}
