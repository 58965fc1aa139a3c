/**
 * The client that applications hold: events in and out, requests both ways, rooms. When to connect is its link's matter.
 */
import { type AnyEvents, type Closed, type ListenerOf, type Name, type Payload, type Reply, type State, type SystemEvents } from "./events.js";
import { type ErrorObject } from "./frames.js";
import { type Options, type RequestOptions, type Settings } from "./options.js";
/** What `emitWithPromise` gives: it never rejects. */
export type Result<T> = {
    success: true;
    data: T;
} | ({
    success: false;
} & ErrorObject);
/** The arguments after the event's name; the payload may be left out where its type allows. */
type Args<F, Rest extends unknown[]> = undefined extends Payload<F> ? [payload?: Payload<F>, ...rest: Rest] : [payload: Payload<F>, ...rest: Rest];
/** Called once: with what went wrong, or with null and the reply's payload. */
type Callback<F> = ((error: ErrorObject | null, payload: Reply<F>) => void) | null;
export declare class Connector<S extends object = AnyEvents, C extends object = AnyEvents> {
    #private;
    protected readonly settings: Settings;
    /** Connects at once. Throws when an option cannot work. */
    constructor(options: Options);
    /** Calls `listener` with the payload of each such event; the function given back stops that. */
    on<K extends keyof SystemEvents | Name<S>>(event: K, listener: ListenerOf<S, K>, tag?: unknown): () => void;
    /** As `on`, for the next one only. */
    once<K extends keyof SystemEvents | Name<S>>(event: K, listener: ListenerOf<S, K>, tag?: unknown): () => void;
    /** Removes the listeners of an event: this function, those with this tag, or all. */
    off(event: keyof SystemEvents | Name<S>, listenerOrTag?: unknown): void;
    /** Calls `listener` with name and payload of everything that the server pushes. */
    onAny(listener: (event: string, payload: any) => void): () => void;
    /**
     * Answers the server's requests of this name with what `handler` gives back, also later. What it throws is told to the
     * server as `{error, errorCode}`. One handler per name; the function given back removes it.
     */
    onRequest<K extends Name<S>>(event: K, handler: (payload: Payload<S[K]>) => Reply<S[K]> | Promise<Reply<S[K]>>): () => void;
    /**
     * Sends an event; with a callback it is a request. False when it was neither sent nor kept: there is no connection and
     * the offline queue is full, or the connection takes no more. What must arrive is a request.
     */
    emit<K extends Name<C>>(event: K, ...[payload, callback, options]: Args<C[K], [callback?: Callback<C[K]>, options?: RequestOptions]>): boolean;
    /** Asks the server. Resolves always: `{success: true, data}` or `{success: false, error, errorCode}`. */
    emitWithPromise<K extends Name<C>>(event: K, ...[payload, options]: Args<C[K], [options?: RequestOptions]>): Promise<Result<Reply<C[K]>>>;
    /** Asks the server. Resolves to the reply's payload, rejects with a `RequestError`. */
    request<K extends Name<C>>(event: K, ...[payload, options]: Args<C[K], [options?: RequestOptions]>): Promise<Reply<C[K]>>;
    /** Joins a room, and joins it again after each reconnect until `leaveRoom`. Waits for a connection if there is none. */
    joinRoom(roomId: string | number, namespace?: string): Promise<any>;
    /** Leaves a room; it is not joined again, whatever the server replies. */
    leaveRoom(roomId: string | number, namespace?: string): Promise<any>;
    /** Where the connection is now; the event `state` tells each change. */
    get state(): State;
    /** Whether events and requests can be sent now. */
    get isOpen(): boolean;
    /** The server of the connection or of the next attempt: one of the option `url`, as it was given. */
    get url(): string;
    /** Resolves when the connection stands, at once if it does; rejects when it is closed for good. */
    opened(): Promise<void>;
    /** Whether a connection that was lost is being brought back. */
    reconnecting(): boolean;
    /** Ends the connection if there is one, and connects again after the wait that is due. With `true` counting from zero. */
    reconnect(repeatReset?: boolean): void;
    /** Connects anew now, also after a close for good, and counts attempts from zero. */
    connect(): void;
    /** Closes with code 4001, for good; requests that wait fail, rooms and kept events are forgotten. */
    manualClose(): void;
    /** The time from one heartbeat to the next, in ms. */
    getPingInterval(): number;
    /** Changes it: from the next heartbeat on, or with `true` counted from now. Zero stops heartbeats. */
    setPingInterval(ms: number, immediate?: boolean): void;
    protected defaults(): Partial<Options>;
    /** Hears of options that there are not. */
    protected odd(text: string): void;
    /** Whether a push of this name reaches the listeners of that name. */
    protected mayBePushed(event: string): boolean;
    /** What an error reply to `emit` and `emitWithPromise` says. */
    protected refused(payload: unknown): ErrorObject | null;
    /** Whether requests that wait fail when their connection is gone, not at their time limit. */
    protected failsAtOnce(): boolean;
    /** Whether it connects again by itself, the close code aside. */
    protected comesBack(code: number, failed: boolean): boolean;
    /** Whether the event `close` is told; `error` was before if `failed`. */
    protected tellsClose(_closed: Closed, _failed: boolean): boolean;
}
export {};
