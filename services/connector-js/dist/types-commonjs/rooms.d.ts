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
export declare class Rooms {
    #private;
    /** It is being asked for. */
    wanted(room: RoomPayload): Entry;
    /** What the server said to one who asked: a room is forgotten when it was never joined and nobody asks any more. */
    answered(entry: Entry, joined: boolean): void;
    /** Whether it was not left since it was wanted. */
    has(entry: Entry): boolean;
    left(room: RoomPayload): void;
    clear(): void;
    /** Those to ask for again. */
    joined(): Entry[];
}
