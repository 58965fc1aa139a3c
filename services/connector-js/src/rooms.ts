/** The rooms that this client is in, so that it can join them again on the next connection. */

export interface RoomPayload {
  roomId: string | number;
  namespace?: string;
}

/** A room that was requested, until it is left. */
export interface Entry {
  room: RoomPayload;
  joined: boolean;
  /** The number of requests to join it that wait for a reply. */
  pending: number;
}

export class Rooms {
  readonly #entries = new Map<string, Entry>();

  /** A request to join a room begins. */
  wanted(room: RoomPayload): Entry {
    const entry = this.#entries.get(key(room)) ?? { room, joined: false, pending: 0 };
    entry.pending++;
    this.#entries.set(key(room), entry);
    return entry;
  }

  /** A request to join it ended. A room that was never joined is forgotten with its last request. */
  answered(entry: Entry, joined: boolean): void {
    entry.joined ||= joined;
    if (!--entry.pending && !entry.joined && this.has(entry)) this.left(entry.room);
  }

  /** Whether it was not left meanwhile. */
  has(entry: Entry): boolean {
    return this.#entries.get(key(entry.room)) === entry;
  }

  left(room: RoomPayload): void {
    this.#entries.delete(key(room));
  }

  clear(): void {
    this.#entries.clear();
  }

  /** The rooms to join again. */
  joined(): Entry[] {
    return [...this.#entries.values()].filter(({ joined }) => joined);
  }
}

function key({ roomId, namespace }: RoomPayload): string {
  return JSON.stringify([String(roomId), namespace]);
}
