/** The rooms that this client is in, so that it can ask for them again on the next connection. */

export interface RoomPayload {
  roomId: string | number;
  namespace?: string;
}

/** A room that somebody asked for, until it is left. */
export interface Entry {
  room: RoomPayload;
  joined: boolean;
  /** So many ask for it now. */
  asking: number;
}

export class Rooms {
  readonly #entries = new Map<string, Entry>();

  /** It is being asked for. */
  wanted(room: RoomPayload): Entry {
    const entry = this.#entries.get(key(room)) ?? { room, joined: false, asking: 0 };
    entry.asking++;
    this.#entries.set(key(room), entry);
    return entry;
  }

  /** What the server said to one who asked: a room is forgotten when it was never joined and nobody asks any more. */
  answered(entry: Entry, joined: boolean): void {
    entry.joined ||= joined;
    if (!--entry.asking && !entry.joined && this.has(entry)) this.left(entry.room);
  }

  /** Whether it was not left since it was wanted. */
  has(entry: Entry): boolean {
    return this.#entries.get(key(entry.room)) === entry;
  }

  left(room: RoomPayload): void {
    this.#entries.delete(key(room));
  }

  clear(): void {
    this.#entries.clear();
  }

  /** Those to ask for again. */
  joined(): Entry[] {
    return [...this.#entries.values()].filter(({ joined }) => joined);
  }
}

function key({ roomId, namespace }: RoomPayload): string {
  return JSON.stringify([String(roomId), namespace]);
}
