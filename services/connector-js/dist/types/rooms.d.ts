/** The rooms that this client is in, so that it can ask for them again on the next connection. */
export interface RoomPayload {
    roomId: string | number;
    namespace?: string;
}
export declare class Rooms {
    #private;
    /** It is being asked for. */
    wanted(room: RoomPayload): void;
    /** The server agreed; counts unless it was left meanwhile. */
    joined(room: RoomPayload): void;
    /** It was not joined; one that was before stays. */
    refused(room: RoomPayload): void;
    left(room: RoomPayload): void;
    clear(): void;
    /** Those to ask for again. */
    all(): RoomPayload[];
}
