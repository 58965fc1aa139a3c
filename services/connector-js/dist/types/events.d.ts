/** Types of events. An application describes both directions as functions; one that returns something is a request. */
import type { CloseGroup } from "./close-codes.js";
import type { ErrorObject } from "./frames.js";
/** Any event with any payload: the default of a client without type parameters. */
export type AnyEvents = Record<string, (payload: any) => any>;
/** The names of a map of events. */
export type Name<E> = keyof E & string;
/** The payload of an event. */
export type Payload<F> = F extends (payload: infer P, ...rest: any[]) => any ? P : never;
/** The payload of the reply to a request. */
export type Reply<F> = F extends (...args: any[]) => infer R ? Awaited<R> : never;
/** The state of the connection. */
export type State = "connecting" | "open" | "waiting" | "closed";
/** How a connection, or an attempt to connect, ended. */
export interface Closed {
    /** The close code; 1006 when there was no close frame. */
    code: number;
    /** A short text, or `retry-after-ms=N`. */
    reason: string;
    /** What the code asks for: reconnect now, after a delay, or not at all. */
    group: CloseGroup;
    /** Whether the client reconnects automatically. */
    willReconnect: boolean;
}
/** A room that could not be joined again after a reconnect. */
export interface RoomLost extends ErrorObject {
    roomId: string | number;
    namespace?: string;
}
/** What happens to the connection. */
export interface SystemEvents {
    /** It is open, and the joined rooms are requested again. */
    open(event: unknown): void;
    /** It ended, or an attempt did; not after `manualClose()` and `reconnect()`. */
    close(closed: Closed): void;
    /** The WebSocket or the token provider failed. */
    error(event: any): void;
    /** A frame was received: its text, whatever it is. */
    message(text: any): void;
    /** A heartbeat was sent. */
    ping(): void;
    /** It was answered, after this many ms. */
    pong(latency: number): void;
    /** It was not answered in time. */
    "pong-timeout"(): void;
    /** The next attempt, number `repeat` in a row, starts in `timeout` ms. */
    reconnect(attempt: {
        repeat: number;
        timeout: number;
    }): void;
    /** `repeatLimit` attempts failed; the client gives up. */
    "repeat-limit"(limit: number): void;
    /** The connection's state changed. */
    state(state: State): void;
    /** The server does not let this client back into a room. */
    "room-lost"(lost: RoomLost): void;
}
/** Pushed events with these names reach `onAny` only: a server cannot pretend that the connection closed. */
export declare const SYSTEM_EVENTS: readonly string[];
/** The type of an event's listener. */
export type ListenerOf<S, K> = K extends keyof SystemEvents ? SystemEvents[K] : K extends keyof S ? (payload: Payload<S[K]>) => void : never;
