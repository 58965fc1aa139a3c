/** The settings of one client. Names and defaults follow websocket-cross-server-adapter. Times are in milliseconds. */
import type { WebSocketConstructor } from "./socket.js";
/** What a token provider returns; null or undefined: connect without a token. */
export type Token = string | null | undefined;
export interface Options {
    /**
     * Where to connect: `ws://` or `wss://`, any path, with or without a query. Of several URLs the first is tried first; when
     * a server drains or fails, the next one.
     */
    url: string | readonly string[];
    /** Added to the URL's query, URL-encoded. Default: none. */
    customParams?: Record<string, unknown>;
    /** WebSocket subprotocols to offer. Default: none. */
    protocols?: string | string[];
    /** The WebSocket class to use. Default: the global one. Node.js before 22 has none: use the package `ws`. */
    WebSocket?: WebSocketConstructor;
    /** Called before each attempt to connect, so that the token is fresh. Default: none. */
    token?: () => Token | Promise<Token>;
    /** How the token travels: as `token` in the URL's query (default; ws-node reads it there), or in the first message. */
    tokenIn?: "query" | "message";
    /** Time between heartbeats; 0: none. Default: 10000, which stops most proxies from closing the connection. */
    pingInterval?: number;
    /** Time limit for the answer to a heartbeat; after it the connection is closed with code 4002. Default: 2000. */
    pongTimeout?: number;
    /** The heartbeat's text; must match the server's. Default: empty, the smallest frame. */
    pingMsg?: string;
    /**
     * When to reconnect automatically. `"always"` (default): unless the close code says not to. `"error"`, as in
     * websocket-cross-server-adapter: after errors only. `"never"`: the application calls `reconnect()`.
     */
    autoReconnect?: "always" | "error" | "never";
    /** The number of fast attempts; after them the longest wait doubles each time. Default: 3. */
    fastReconnectThreshold?: number;
    /** The longest wait before a fast attempt; the wait is a random part of it. At least 50. Default: 3000. */
    fastReconnectInterval?: number;
    /** The longest wait before any attempt, and the longest that a server can ask for. At least 50. Default: 120000. */
    reconnectMaxInterval?: number;
    /** Gives up after this many failed attempts in a row. Default: null, never. */
    repeatLimit?: number | null;
    /** Time limit for one attempt, the token included. Default: 10000, enough for several lost packets. */
    connectTimeout?: number;
    /** Time limit for a request, retries included. Default: 5000. */
    callbackTimeout?: number;
    /** Time until `onPending` is called for a request without a reply. Default: 100, a delay that people notice. */
    pendingTimeout?: number;
    /** The number of requests that may wait for replies at the same time. Default: 1024. */
    maxPending?: number;
    /** The number of events that are kept while there is no connection, and sent on the next. Default: 0. */
    offlineQueue?: number;
    /** Bytes that may wait in the WebSocket; more frames are refused. Default: 1048576. */
    maxBuffered?: number;
    /**
     * Begins the trace of each event and request: returns the W3C `traceparent` of its frame, or that with an `end`. A repeat of
     * a request carries the same one. Nothing that it throws or returns affects the event or request. Default: none.
     */
    traceparent?: (event: string) => string | Trace | null | undefined;
}
/** Options of one request. */
export interface RequestOptions {
    /** Default: the client's `callbackTimeout`. The server is told unless it is 5000, and does no work for a client that has given up. */
    callbackTimeout?: number;
    /** Called once if there is no reply after `pendingTimeout`, for example to show a spinner. */
    onPending?: () => void;
    /** Default: the client's `pendingTimeout`. Has no effect unless shorter than `callbackTimeout`. */
    pendingTimeout?: number;
    /**
     * Waits for a connection if there is none, and repeats the request on the next one if this one breaks, within the time
     * limit. Only for what may happen twice, unless a service handles the event (a rule with `service` and reply = relay): there the
     * idempotency key that this gives the request makes it once. `publish`, handlers inside a ws-node and reply = direct do not use
     * the key; a backend over HTTP gets the same `ce-id` again. Default: false.
     */
    retry?: boolean;
    /**
     * Text of 1 to 128 characters. Services (reply = relay) carry out requests of this client with the same event and key once; all
     * of them get the same answer, for two minutes. For requests that the application repeats itself. Default: with `retry` one of
     * its own, else none.
     */
    idempotencyKey?: string;
}
/** The trace of one event or request. */
export interface Trace {
    /** The W3C `traceparent` that goes into the frame. */
    traceparent?: string | undefined;
    /**
     * Called once: when the request is answered, refused, timed out or given up; for an event at once after it was sent or kept.
     * `error` is the code of what went wrong.
     */
    end?(error?: string): void;
}
export declare const REQUEST_OPTIONS: string[];
declare const DEFAULTS: {
    readonly pingInterval: 10000;
    readonly pongTimeout: 2000;
    readonly pingMsg: "";
    readonly autoReconnect: "always";
    readonly fastReconnectThreshold: 3;
    readonly fastReconnectInterval: 3000;
    readonly reconnectMaxInterval: 120000;
    readonly repeatLimit: null;
    readonly connectTimeout: 10000;
    readonly tokenIn: "query";
    readonly callbackTimeout: 5000;
    readonly pendingTimeout: 100;
    readonly maxPending: 1024;
    readonly offlineQueue: 0;
    readonly maxBuffered: 1048576;
};
/** Options with their defaults. */
export type Settings = Options & Required<Pick<Options, keyof typeof DEFAULTS>> & {
    url: string[];
};
/** The longest time that JavaScript timers support; a longer one fires at once. */
export declare const LONGEST: number;
/**
 * Fills in the defaults. Throws when an option is not valid. Undefined and null count as not given. Calls `unknown` for each
 * option that does not exist.
 */
export declare function settings(options: Options, defaults: Partial<Options>, unknown: (text: string) => void): Settings;
/** Calls `unknown` for each option that is not one of `names`. */
export declare function known(options: object | undefined, names: string[], unknown: (text: string) => void): void;
/** Throws the error for an argument that is not valid. */
export declare function wrong(name: string, text: string): never;
/** Throws unless `value` is a number from `least` to what a timer supports. */
export declare function duration(name: string, value: unknown, least: number): void;
export {};
