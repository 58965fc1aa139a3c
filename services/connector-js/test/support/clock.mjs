// A clock that moves only when a test says so. (Node's own mock timers forget a live timer when one that fired is cleared.)
const real = { setTimeout: globalThis.setTimeout, clearTimeout: globalThis.clearTimeout, now: Date.now, random: Math.random };

export class Clock {
  #timers = new Map();
  #last = 0;
  now = 1_000_000;

  /** Takes over timers, the date and, when given, every random number, until `restore`. */
  static install(random) {
    const clock = new Clock();
    globalThis.setTimeout = (callback, ms = 0, ...args) => {
      const id = ++clock.#last;
      const timer = { id, ref: () => timer, unref: () => timer, hasRef: () => true };
      clock.#timers.set(id, { at: clock.now + Math.max(1, ms), id, callback: () => callback(...args) });
      return timer;
    };
    globalThis.clearTimeout = (timer) => clock.#timers.delete(timer?.id);
    Date.now = () => clock.now;
    if (random !== undefined) Math.random = () => random;
    return clock;
  }

  /** Lets `ms` pass: what is due on the way happens in order, at its time. */
  tick(ms) {
    const end = this.now + ms;
    for (;;) {
      const [next] = [...this.#timers.values()].sort((a, b) => a.at - b.at || a.id - b.id);
      if (!next || next.at > end) break;
      this.#timers.delete(next.id);
      this.now = next.at;
      next.callback();
    }
    this.now = end;
  }

  restore() {
    globalThis.setTimeout = real.setTimeout;
    globalThis.clearTimeout = real.clearTimeout;
    Date.now = real.now;
    Math.random = real.random;
  }
}

/** Fails when `promise` takes longer than `ms` of real time. */
export function within(ms, promise) {
  return new Promise((resolve, reject) => {
    const timer = real.setTimeout(() => reject(new Error(`not within ${ms} ms`)), ms);
    promise.then(resolve, reject).finally(() => real.clearTimeout(timer));
  });
}
