/** How long to wait before the next attempt: full jitter, first short, then doubling. It has no state and no timer. */
import { type Settings } from "./options.js";
/**
 * The wait in ms before attempt number `repeat` in a row. What is left of a delay that the server gave is the least; up to a
 * quarter of it is added, because a server may give many clients the same.
 */
export declare function waitBefore(repeat: number, retryAfter: number, settings: Settings): number;
