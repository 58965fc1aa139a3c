/** The settings of one client. Names and defaults are the original's where it has them; times are in milliseconds. */
import type { WebSocketConstructor } from "./socket.js";
/** What a token provider gives; nothing means: connect without one. */
export type Token = string | null | undefined;
export interface Options {
    /**
     * Where to connect: `ws://` or `wss://`, any path, with or without a query. Of several the first is tried first, and after
     * a server that drains or fails the next one.
     */
    url: string | readonly string[];
    /** Added to the URL's query, encoded. Default: none. */
    customParams?: Record<string, unknown>;
    /** WebSocket subprotocols to offer. Default: none. */
    protocols?: string | string[];
    /** The WebSocket to use. Default: the global one; Node.js before 22 has none, see the package `ws`. */
    WebSocket?: WebSocketConstructor;
    /** Called before each attempt to connect, so that a token is never stale. Default: none. */
    token?: () => Token | Promise<Token>;
    /** How the token travels: as `token` in the URL's query (default; ws-node reads it there), or as first message. */
    tokenIn?: "query" | "message";
    /** From one heartbeat to the next; zero stops them. Default: 10000, which keeps most proxies from closing. */
    pingInterval?: number;
    /** How long the answer to a heartbeat may take; then the connection is closed with 4002. Default: 2000. */
    pongTimeout?: number;
    /** The heartbeat's text; must be the server's. Default: empty, the smallest frame there is. */
    pingMsg?: string;
    /**
     * When to connect again without being asked. `"always"` (default): after everything but closes that say not to come
     * back. `"error"`, as the original: after errors only. `"never"`: the application calls `reconnect()`.
     */
    autoReconnect?: "always" | "error" | "never";
    /** So many attempts are fast ones; after them each wait may be twice the one before. Default: 3. */
    fastReconnectThreshold?: number;
    /** The longest wait before a fast attempt; the wait is a random part of it. Default: 3000. */
    fastReconnectInterval?: number;
    /** The longest wait before any attempt, and the most that a server can ask for. Default: 120000. */
    reconnectMaxInterval?: number;
    /** Gives up after so many attempts in a row that led to nothing. Default: null, never. */
    repeatLimit?: number | null;
    /** How long one attempt may take, the token included. Default: 10000, several lost packets. */
    connectTimeout?: number;
    /** How long a request waits for its reply, retries included. Default: 5000. */
    callbackTimeout?: number;
    /** How long until `onPending` is told that a request still waits. Default: 100, what people notice. */
    pendingTimeout?: number;
    /** Requests that may wait for their replies at the same time. Default: 1024. */
    maxPending?: number;
    /** Events that are kept while there is no connection, and sent on the next. Default: 0, none. */
    offlineQueue?: number;
    /** Bytes that may wait in the WebSocket; more is refused, nothing piles up. Default: 1048576. */
    maxBuffered?: number;
    /** Gives the W3C `traceparent` of the frame about to be sent. Default: none. */
    traceparent?: () => string | undefined;
}
/** Options of one request. */
export interface RequestOptions {
    /** Default: the client's `callbackTimeout`. */
    callbackTimeout?: number;
    /** Called once if there is no reply after `pendingTimeout`: time to show that something happens. */
    onPending?: () => void;
    /** Default: the client's `pendingTimeout`. Has no effect unless shorter than `callbackTimeout`. */
    pendingTimeout?: number;
    /**
     * Waits for a connection if there is none, and asks again on the next one if this one breaks, within the time limit.
     * Only for what may be done twice. Default: false.
     */
    retry?: boolean;
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
/** The longest time that timers of JavaScript can count; a longer one fires at once. */
export declare const LONGEST: number;
/**
 * Fills in the defaults; throws when something cannot work. An option that is undefined or null counts as not given. `odd`
 * hears of options that there are not.
 */
export declare function settings(options: Options, defaults: Partial<Options>, odd: (text: string) => void): Settings;
/** Tells `odd` of each option that is not one of `names`. */
export declare function known(options: object | undefined, names: string[], odd: (text: string) => void): void;
/** Throws unless it is a number that a timer or a limit can use. */
export declare function duration(name: string, value: unknown, least: number): void;
export {};
