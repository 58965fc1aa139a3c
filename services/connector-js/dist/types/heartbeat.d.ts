/** The heartbeat of one connection: a ping, its pong within the time limit, the next ping. */
import type { Settings } from "./options.js";
export interface HeartbeatEvents {
    /** Time to send the ping. */
    ping(): void;
    /** It was answered after this many ms. */
    pong(latency: number): void;
    /** It was not answered in time. */
    lost(): void;
}
export declare class Heartbeat {
    #private;
    constructor(settings: Settings, events: HeartbeatEvents);
    /** Starts. The first ping comes after a random part of the interval, so that many clients do not send at the same time. */
    start(): void;
    /** Starts again with a whole interval, unless a pong is awaited: that pong decides first. */
    restart(): void;
    stop(): void;
    /** The server sent the heartbeat's text. Without a ping before it, it is ignored. */
    answered(): void;
}
