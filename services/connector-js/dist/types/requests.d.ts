/** Requests that wait for their replies: ids, time limits, what happens to them when the connection breaks. */
import type { ErrorObject } from "./frames.js";
import { type RequestOptions, type Settings } from "./options.js";
/** Called once: with what went wrong, or with null and the reply's payload. */
export type Done = (error: ErrorObject | null, payload: any) => void;
/** A request ended without a reply, or the server refused it. */
export declare class RequestError extends Error implements ErrorObject {
    readonly error: string;
    readonly errorCode: string;
    constructor({ error, errorCode }: ErrorObject);
}
export declare const NOT_OPEN: ErrorObject;
interface Waiting {
    text: string;
    retry: boolean;
    /** On the connection of now; undefined when it never was on any. */
    sent?: boolean;
    end: Done;
}
export declare class Requests {
    #private;
    constructor(settings: Settings);
    /** Whether as many wait as may. */
    get full(): boolean;
    /** An id that no other client has: replies may be addressed to the client by whoever answers. */
    newId(): string;
    /** Notes a request whose frame is `text`, not sent yet. Throws when a time is none. */
    add(id: string, text: string, { onPending, retry, ...times }: RequestOptions, done: Done): Waiting;
    /** Hands what is not sent yet to `send`. */
    flush(send: (text: string) => boolean): void;
    /** A reply came; nothing happens when nobody waits for it (any more). */
    replied(id: string, payload: unknown): void;
    /** The connection broke: those that may be repeated wait for the next one, the others fail at once. */
    disconnected(): void;
    /** There will be no next connection. */
    closed(): void;
}
export {};
