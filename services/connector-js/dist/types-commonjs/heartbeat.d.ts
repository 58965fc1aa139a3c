/** The heartbeat of one connection: a ping, its pong within the time limit, the next ping. */
import type { Settings } from "./options.js";
export interface HeartbeatEvents {
    /** Time to send the ping. */
    ping(): void;
    /** Answered after so many ms. */
    pong(latency: number): void;
    /** Not answered in time. */
    lost(): void;
}
export declare class Heartbeat {
    #private;
    constructor(settings: Settings, events: HeartbeatEvents);
    /** Begins; the first ping comes after a random part of the interval, so that many clients do not beat together. */
    start(): void;
    /** Begins anew with a whole interval, unless a pong is awaited: that one decides first. */
    restart(): void;
    stop(): void;
    /** The server sent the heartbeat's text. An answer to nothing does not count. */
    answered(): void;
}
