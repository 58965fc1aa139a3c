/** The rooms that this client is in, so that it can ask for them again on the next connection. */

export interface RoomPayload {
  roomId: string | number;
  namespace?: string;
}

export class Rooms {
  readonly #rooms = new Map<string, { room: RoomPayload; joined: boolean }>();

  /** It is being asked for. */
  wanted(room: RoomPayload): void {
    if (!this.#rooms.has(key(room))) this.#rooms.set(key(room), { room, joined: false });
  }

  /** The server agreed; counts unless it was left meanwhile. */
  joined(room: RoomPayload): void {
    const entry = this.#rooms.get(key(room));
    if (entry) entry.joined = true;
  }

  /** It was not joined; one that was before stays. */
  refused(room: RoomPayload): void {
    if (!this.#rooms.get(key(room))?.joined) this.left(room);
  }

  left(room: RoomPayload): void {
    this.#rooms.delete(key(room));
  }

  clear(): void {
    this.#rooms.clear();
  }

  /** Those to ask for again. */
  all(): RoomPayload[] {
    return [...this.#rooms.values()].filter(({ joined }) => joined).map(({ room }) => room);
  }
}

function key({ roomId, namespace }: RoomPayload): string {
  return JSON.stringify([String(roomId), namespace]);
}
