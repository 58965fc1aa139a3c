/** Types of events. An application describes both directions as functions; one that gives something back is a request. */

import type { CloseGroup } from "./close-codes.js";
import type { ErrorObject } from "./frames.js";

/** Any event with any payload: what a client without type parameters has. */
export type AnyEvents = Record<string, (payload: any) => any>;

/** The names of a map of events. */
export type Name<E> = keyof E & string;
/** What an event carries. */
export type Payload<F> = F extends (payload: infer P, ...rest: any[]) => any ? P : never;
/** What the reply to a request carries. */
export type Reply<F> = F extends (...args: any[]) => infer R ? Awaited<R> : never;

/** Where the connection is now. */
export type State = "connecting" | "open" | "waiting" | "closed";

/** How a connection, or an attempt to connect, ended. */
export interface Closed {
  /** See the close codes; 1006 when there was no close frame. */
  code: number;
  /** A short text, or `retry-after-ms=N`. */
  reason: string;
  /** What the code asks for: come back now, after a delay, or not at all. */
  group: CloseGroup;
  /** Whether the client connects again by itself. */
  willReconnect: boolean;
}

/** A room that could not be joined again after a reconnect. */
export interface RoomLost extends ErrorObject {
  roomId: string | number;
  namespace?: string;
}

/** What happens to the connection. */
export interface SystemEvents {
  /** It stands, and the rooms of the one before are asked for again. */
  open(event: unknown): void;
  /** It ended, or an attempt did; not after `manualClose()` and `reconnect()`. */
  close(closed: Closed): void;
  /** The WebSocket or the token provider failed. */
  error(event: any): void;
  /** A frame came: its text, whatever it is. */
  message(text: any): void;
  /** A heartbeat was sent. */
  ping(): void;
  /** It was answered, after so many ms. */
  pong(latency: number): void;
  /** It was not answered in time. */
  "pong-timeout"(): void;
  /** The next attempt, the `repeat`th in a row, comes in `timeout` ms. */
  reconnect(attempt: { repeat: number; timeout: number }): void;
  /** As many attempts failed as `repeatLimit` allows. */
  "repeat-limit"(limit: number): void;
  /** The connection's state changed. */
  state(state: State): void;
  /** The server does not let this client back into a room. */
  "room-lost"(lost: RoomLost): void;
}

/** A push with one of these names reaches `onAny` only: no server can pretend that the connection closed. */
export const SYSTEM_EVENTS: ReadonlySet<string> = new Set<keyof SystemEvents>([
  "open", "close", "error", "message", "ping", "pong", "pong-timeout", "reconnect", "repeat-limit", "state", "room-lost",
]);

/** What a listener of an event is. */
export type ListenerOf<S, K> = K extends keyof SystemEvents
  ? SystemEvents[K]
  : K extends keyof S
    ? (payload: Payload<S[K]>) => void
    : never;
