/**
 * The client that applications use: events, requests in both directions, rooms. Its link decides when to connect.
 */
import { type AnyEvents, type Closed, type ListenerOf, type Name, type Payload, type Reply, type State, type SystemEvents } from "./events.js";
import { type ErrorObject } from "./frames.js";
import { type Options, type RequestOptions, type Settings } from "./options.js";
/** What `emitWithPromise` resolves to. It never rejects. */
export type Result<T> = {
    success: true;
    data: T;
} | ({
    success: false;
} & ErrorObject);
/** The arguments after the event's name. The payload is optional where its type allows that. */
type Args<F, Rest extends unknown[]> = undefined extends Payload<F> ? [payload?: Payload<F>, ...rest: Rest] : [payload: Payload<F>, ...rest: Rest];
/** Called once: with an error, or with null and the reply's payload. */
type Callback<F> = ((error: ErrorObject | null, payload: Reply<F>) => void) | null;
export declare class Connector<S extends object = AnyEvents, C extends object = AnyEvents> {
    #private;
    protected readonly settings: Settings;
    /** Connects at once. Throws when an option is not valid. */
    constructor(options: Options);
    /** Calls `listener` with the payload of each event of this name. Returns a function that removes it. */
    on<K extends keyof SystemEvents | Name<S>>(event: K, listener: ListenerOf<S, K>, tag?: unknown): () => void;
    /** Like `on`, for the next event only. */
    once<K extends keyof SystemEvents | Name<S>>(event: K, listener: ListenerOf<S, K>, tag?: unknown): () => void;
    /** Removes the listeners of an event: this function, those with this tag, or all. */
    off(event: keyof SystemEvents | Name<S>, listenerOrTag?: unknown): void;
    /** Calls `listener` with the name and payload of every event that the server pushes. */
    onAny(listener: (event: string, payload: any) => void): () => void;
    /**
     * Answers the server's requests of this name with what `handler` returns; it may be async. What it throws is sent to the
     * server as `{error, errorCode}`. There is one handler per name. Returns a function that removes it.
     */
    onRequest<K extends Name<S>>(event: K, handler: (payload: Payload<S[K]>) => Reply<S[K]> | Promise<Reply<S[K]>>): () => void;
    /**
     * Sends an event; with a callback it is a request. Returns false if it was neither sent nor kept: there is no connection
     * and the offline queue is full, or too much waits in the WebSocket. Use a request for what must arrive.
     */
    emit<K extends Name<C>>(event: K, ...rest: Args<C[K], [callback?: Callback<C[K]>, options?: RequestOptions]>): boolean;
    /** Sends a request. Always resolves: `{success: true, data}` or `{success: false, error, errorCode}`. */
    emitWithPromise<K extends Name<C>>(event: K, ...rest: Args<C[K], [options?: RequestOptions]>): Promise<Result<Reply<C[K]>>>;
    /** Sends a request. Resolves to the reply's payload, or rejects with a `RequestError`. */
    request<K extends Name<C>>(event: K, ...rest: Args<C[K], [options?: RequestOptions]>): Promise<Reply<C[K]>>;
    /** Joins a room, and again after each reconnect until `leaveRoom`. Waits for a connection if there is none. */
    joinRoom(roomId: string | number, namespace?: string): Promise<any>;
    /** Leaves a room. It is not joined again, whatever the server replies. */
    leaveRoom(roomId: string | number, namespace?: string): Promise<any>;
    /** The state of the connection. The event `state` reports each change. */
    get state(): State;
    /** Whether events and requests can be sent now. */
    get isOpen(): boolean;
    /** The server of the connection or of the next attempt: an entry of the option `url`, as it was given. */
    get url(): string;
    /** Resolves when the connection is open, at once if it is; rejects when it is closed for good. */
    opened(): Promise<void>;
    /** Whether the client is reconnecting. */
    reconnecting(): boolean;
    /** Ends the connection if there is one and reconnects after the usual wait. `true` resets the attempt count. */
    reconnect(repeatReset?: boolean): void;
    /** Reconnects now, also after a close for good, and resets the attempt count. */
    connect(): void;
    /** Closes with code 4001, for good. Waiting requests fail; rooms and queued events are forgotten. */
    manualClose(): void;
    /** The time from one heartbeat to the next, in ms. */
    getPingInterval(): number;
    /** Changes the interval from the next heartbeat on, or with `true` from now. Zero stops heartbeats. */
    setPingInterval(ms: number, immediate?: boolean): void;
    protected defaults(): Partial<Options>;
    /** Called for each option that does not exist. */
    protected unknownOption(text: string): void;
    /** Whether a push of this name reaches the listeners of that name. */
    protected mayBePushed(event: string): boolean;
    /** The error in a reply to `emit` or `emitWithPromise`, if it is one. */
    protected refused(payload: unknown): ErrorObject | null;
    /** Whether waiting requests fail when their connection is lost, not at their time limit. */
    protected failsAtOnce(): boolean;
    /** Whether to reconnect automatically, if the close code allows it. */
    protected comesBack(code: number, failed: boolean): boolean;
    /** Whether to fire `close`. If `failed`, `error` was fired before. */
    protected tellsClose(_closed: Closed, _failed: boolean): boolean;
}
export {};
