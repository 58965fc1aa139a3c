/** How long to wait before the next attempt: full jitter, first short, then doubling. It has no timer itself. */
import { type Settings } from "./options.js";
export declare class Backoff {
    #private;
    /** Attempts since the last connection that stood. */
    repeat: number;
    constructor(settings: Settings);
    /**
     * The wait before the next attempt in ms; undefined when the limit is reached. What is left of a delay that the server
     * gave is the least; up to a quarter of it comes on top, because a server may give many clients the same.
     */
    next(retryAfter: number): number | undefined;
}
