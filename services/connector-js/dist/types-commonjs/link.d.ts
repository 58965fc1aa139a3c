/**
 * Keeps one WebSocket connected: attempts, the heartbeat, reconnecting. It knows nothing about events and requests; timers
 * run only while something is awaited.
 */
import type { Closed, State, SystemEvents } from "./events.js";
import type { ErrorObject } from "./frames.js";
import type { Settings } from "./options.js";
import { type WebSocketLike } from "./socket.js";
/** What the link asks its owner and reports to it. */
export interface LinkOwner {
    fire(event: keyof SystemEvents, ...args: unknown[]): void;
    /** Whether to reconnect, if the close code allows it. */
    comesBack(code: number, failed: boolean): boolean;
    /** Whether to fire `close` for this end. */
    tellsClose(closed: Closed, failed: boolean): boolean;
    /** A WebSocket opened: authenticate with this token. */
    authenticate(token: string, done: (error: ErrorObject | null) => void): void;
    /** The connection is open. Called before listeners are. */
    opened(): void;
    /** Listeners were called: send what waited for the connection. */
    flush(): void;
    /** A frame was received that is not a heartbeat. */
    received(text: string, socket: WebSocketLike): void;
    /** The connection is lost. */
    disconnected(): void;
    /** Closed for good. */
    closed(): void;
}
export declare class Link {
    #private;
    state: State;
    socket: WebSocketLike | undefined;
    constructor(settings: Settings, owner: LinkOwner);
    get isOpen(): boolean;
    /** The server of the connection, or of the next attempt. */
    get url(): string;
    get reconnecting(): boolean;
    /** Connects now and resets the attempt count. */
    connect(): void;
    /** Reconnects after the usual wait, unless that is running already. */
    reconnect(repeatReset: boolean): void;
    close(): void;
    /** Sends the next heartbeat after a whole interval. */
    restart(): void;
    /** Whether too many bytes wait in the WebSocket to accept more frames. */
    get full(): boolean;
    /** Sends a frame. Returns false if the WebSocket is not open. */
    send(text: string): boolean;
}
