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

export const REQUEST_OPTIONS = ["callbackTimeout", "onPending", "pendingTimeout", "retry"];

const DEFAULTS = {
  pingInterval: 10_000,
  pongTimeout: 2000,
  pingMsg: "",
  autoReconnect: "always",
  fastReconnectThreshold: 3,
  fastReconnectInterval: 3000,
  reconnectMaxInterval: 120_000,
  repeatLimit: null,
  connectTimeout: 10_000,
  tokenIn: "query",
  callbackTimeout: 5000,
  pendingTimeout: 100,
  maxPending: 1024,
  offlineQueue: 0,
  maxBuffered: 1_048_576,
} as const;

/** Options with their defaults. */
export type Settings = Options & Required<Pick<Options, keyof typeof DEFAULTS>> & { url: string[] };

/** The longest time that timers of JavaScript can count; a longer one fires at once. */
export const LONGEST = 2 ** 31 - 1;

/** Zero is allowed for these numbers. */
const MAY_BE_ZERO = /^(ping|fast|off|rep)/;
/** The waits between attempts, and their least: shorter ones would flood a server that is in trouble. */
const WAIT = /Rec.*val/i;
const LEAST_WAIT = 50;

const ADDRESS = /^wss?:\/\/[^/\s]\S*$/i;
/** A type, or all that may be written. */
const RULES = {
  customParams: "an object",
  WebSocket: "a function",
  token: "a function",
  traceparent: "a function",
  pingMsg: "a string",
  autoReconnect: "always|error|never",
  tokenIn: "query|message",
};
const NAMES = Object.keys({ url: 0, protocols: 0, ...RULES, ...DEFAULTS });

/**
 * Fills in the defaults; throws when something cannot work. An option that is undefined or null counts as not given. `odd`
 * hears of options that there are not.
 */
export function settings(options: Options, defaults: Partial<Options>, odd: (text: string) => void): Settings {
  const all = { ...DEFAULTS, ...defaults } as Settings & Record<string, unknown>;
  for (const name in options) {
    all[name] = options[name as keyof Options] ?? all[name];
  }
  all.url = ([] as unknown[]).concat(all.url).map(String);
  if (!all.url[0] || !all.url.every((each) => ADDRESS.test(each))) {
    wrong("url", 'as in new Connector({ url: "wss://example.org/chat" })');
  }
  known(options, NAMES, odd);
  for (const [name, rule] of Object.entries(RULES)) {
    const value = all[name];
    const words = rule.split(/\W/);
    // The value stays unsaid: people pass tokens where the function belongs.
    if (value !== undefined && !words.includes(typeof value) && !words.includes(value as string)) wrong(name, rule);
  }
  for (const [name, fallback] of Object.entries(DEFAULTS)) {
    if (typeof fallback === "string" || fallback === all[name]) continue;
    duration(name, all[name], WAIT.test(name) ? LEAST_WAIT : +!MAY_BE_ZERO.test(name));
  }
  return all;
}

/** Tells `odd` of each option that is not one of `names`. */
export function known(options: object | undefined, names: string[], odd: (text: string) => void): void {
  for (const name in options) {
    if (!names.includes(name)) odd(`${name} is no option: there are ${names.join(", ")}`);
  }
}

function wrong(name: string, text: string): never {
  throw new TypeError(`${name} must be ${text}`);
}

/** Throws unless it is a number that a timer or a limit can use. */
export function duration(name: string, value: unknown, least: number): void {
  if (typeof value !== "number" || !(value >= least && value <= LONGEST)) {
    wrong(name, `a number from ${least} to ${LONGEST}, not ${typeof value} ${value}`);
  }
}
