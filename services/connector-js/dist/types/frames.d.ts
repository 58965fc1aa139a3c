/** Frames as text. The order of keys follows websocket-cross-server-adapter, byte for byte. */
/** An error with a code. */
export interface ErrorObject {
    /** For people. */
    error: string;
    /** For programs: `WS_NOT_OPEN`, `CALLBACK_TIMEOUT`, … or a code of the server. */
    errorCode: string;
}
/** What a frame of a client has besides its event and payload. What is undefined is left out. */
export interface FrameFields {
    callbackId?: string;
    timeoutMs?: number | undefined;
    idempotencyKey?: string | undefined;
}
/** The answer to a request of the server. */
export declare function answerFrame(payload: unknown, requestId: string): string;
/** What a server sent. An id that is not a string, or empty, counts as none. */
export interface ServerFrame {
    event?: string;
    payload: unknown;
    callbackId?: string;
    requestId?: string;
}
/** Reads a frame of the server. One that cannot be used has neither an event nor an id. */
export declare function readFrame(text: string): ServerFrame;
/** The error in a reply; null if it is not an error reply. */
export declare function refusal(payload: unknown): ErrorObject | null;
