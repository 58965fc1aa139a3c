/** Frames: what goes over the wire, and what came. The keys' order is the original's, byte for byte. */
/** Something went wrong, in the original's terms. */
export interface ErrorObject {
    /** For people. */
    error: string;
    /** For programs: `WS_NOT_OPEN`, `CALLBACK_TIMEOUT`, … or the server's. */
    errorCode: string;
}
/** An event, or with an id a request. A payload that is undefined is null. */
export declare function eventFrame(event: string, payload: unknown, callbackId?: string, traceparent?: string): string;
/** The answer to a request of the server. */
export declare function answerFrame(payload: unknown, requestId: string): string;
/** What a server says. An id that is not a text, or empty, counts as none. */
export interface ServerFrame {
    event?: string;
    payload: unknown;
    callbackId?: string;
    requestId?: string;
}
/** Reads a frame of the server; undefined when it cannot be used. */
export declare function readFrame(text: string): ServerFrame | undefined;
/** What an error reply says; null when the payload is none. */
export declare function refusal(payload: unknown): ErrorObject | null;
