/** Requests that wait for replies: ids, time limits, and what happens to them when the connection breaks. */
import { type ErrorObject, type FrameFields } from "./frames.js";
import { type RequestOptions, type Settings } from "./options.js";
/** Called once: with an error, or with null and the reply's payload. */
export type Done = (error: ErrorObject | null, payload: any) => void;
/** A request ended without a reply, or the server refused it. */
export declare class RequestError extends Error implements ErrorObject {
    readonly error: string;
    readonly errorCode: string;
    constructor({ error, errorCode }: ErrorObject);
}
/** A frame's text, and how its trace ends. */
export type Traced = [text: string, end: (error?: string) => void];
export declare const NOT_OPEN: ErrorObject;
interface Waiting {
    text: string;
    retry: boolean;
    /** Whether it was sent on the current connection; undefined if it was never sent. */
    sent?: boolean;
    settle: Done;
}
export declare class Requests {
    #private;
    constructor(settings: Settings);
    /** Whether the limit of waiting requests is reached. */
    get full(): boolean;
    /**
     * Registers a request that is not sent yet; `frame` makes its text and begins its trace. Nothing, if its payload cannot be JSON. Throws when a time
     * limit is not valid.
     */
    add(frame: (fields: FrameFields) => Traced, { onPending, retry, idempotencyKey, ...times }: RequestOptions, done: Done): Waiting | undefined;
    /** Sends the requests that are not sent yet. */
    flush(send: (text: string) => boolean): void;
    /** Ends the request that a reply answers. Ignores a reply that no request waits for. */
    replied(id: string, payload: unknown): void;
    /** The connection broke: requests that may be repeated wait for the next one, the others fail at once. */
    disconnected(): void;
    /** Closed for good: every waiting request fails. */
    closed(): void;
}
export {};
