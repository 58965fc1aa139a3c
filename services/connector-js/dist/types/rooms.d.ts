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
export declare class Rooms {
    #private;
    /** A request to join a room begins. */
    wanted(room: RoomPayload): Entry;
    /** A request to join it ended. A room that was never joined is forgotten with its last request. */
    answered(entry: Entry, joined: boolean): void;
    /** Whether it was not left meanwhile. */
    has(entry: Entry): boolean;
    left(room: RoomPayload): void;
    clear(): void;
    /** The rooms to join again. */
    joined(): Entry[];
}
