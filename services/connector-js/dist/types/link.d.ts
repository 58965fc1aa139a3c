/**
 * Keeps one WebSocket connected: attempts, the heartbeat, what follows an end. It knows nothing of events and requests;
 * timers run only while something is awaited.
 */
import type { Closed, State, SystemEvents } from "./events.js";
import type { ErrorObject } from "./frames.js";
import type { Settings } from "./options.js";
import { type WebSocketLike } from "./socket.js";
/** What the link asks of its owner, and tells it. */
export interface LinkOwner {
    fire(event: keyof SystemEvents, ...args: unknown[]): void;
    /** Whether to connect again, the close code's group aside. */
    comesBack(code: number, failed: boolean): boolean;
    /** Whether listeners are told of this end. */
    tellsClose(closed: Closed, failed: boolean): boolean;
    /** A WebSocket opened: say who this is. */
    authenticate(token: string, done: (error: ErrorObject | null) => void): void;
    /** The connection stands; listeners are told next. */
    opened(): void;
    /** They were told: now what waited for it can be sent. */
    flush(): void;
    /** A text came that is no heartbeat. */
    received(text: string, socket: WebSocketLike): void;
    /** A connection is gone. */
    disconnected(): void;
    /** There will be no other. */
    closed(): void;
}
export declare class Link {
    #private;
    state: State;
    socket: WebSocketLike | undefined;
    constructor(settings: Settings, owner: LinkOwner);
    get isOpen(): boolean;
    /** Of the connection, or of the next attempt. */
    get url(): string;
    get reconnecting(): boolean;
    /** Connects now and counts attempts from zero. */
    connect(): void;
    /** Connects again after the wait that is due, unless that runs already. */
    reconnect(repeatReset: boolean): void;
    close(): void;
    /** The next heartbeat comes after a whole interval. */
    restart(): void;
    /** Whether too much waits in the WebSocket for more of the application's frames. */
    get full(): boolean;
    /** Writes; false without an open WebSocket. */
    send(text: string): boolean;
}
