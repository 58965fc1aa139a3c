/** How long to wait before the next attempt: full jitter, first short, then doubling. It has no state and no timer. */

import { LONGEST, type Settings } from "./options.js";

/**
 * The wait in ms before attempt number `repeat` in a row. What is left of a delay that the server gave is the least; up to a
 * quarter of it is added, because a server may give many clients the same.
 */
export function waitBefore(repeat: number, retryAfter: number, settings: Settings): number {
  const { fastReconnectInterval, fastReconnectThreshold, reconnectMaxInterval } = settings;
  const random = Math.random();
  if (retryAfter > 0) {
    return Math.min(Math.round(Math.min(retryAfter, reconnectMaxInterval) * (1 + random / 4)), LONGEST);
  }
  const doublings = Math.max(0, repeat - fastReconnectThreshold);
  return Math.floor(Math.min(fastReconnectInterval * 2 ** doublings, reconnectMaxInterval) * random);
}
