/** How long to wait before the next attempt: full jitter, first short, then doubling. It has no timer itself. */

import { LONGEST, type Settings } from "./options.js";

export class Backoff {
  /** Attempts since the last connection that stood. */
  repeat = 0;

  readonly #settings: Settings;

  constructor(settings: Settings) {
    this.#settings = settings;
  }

  /**
   * The wait before the next attempt in ms; undefined when the limit is reached. What is left of a delay that the server
   * gave is the least; up to a quarter of it comes on top, because a server may give many clients the same.
   */
  next(retryAfter: number): number | undefined {
    const { repeatLimit, fastReconnectInterval, fastReconnectThreshold, reconnectMaxInterval } = this.#settings;
    if (repeatLimit !== null && this.repeat >= repeatLimit) return undefined;
    this.repeat += 1;
    const random = Math.random();
    if (retryAfter > 0) {
      return Math.min(Math.round(Math.min(retryAfter, reconnectMaxInterval) * (1 + random / 4)), LONGEST);
    }
    const doublings = Math.max(0, this.repeat - fastReconnectThreshold);
    return Math.floor(Math.min(fastReconnectInterval * 2 ** doublings, reconnectMaxInterval) * random);
  }
}
