/** Who listens to what. A listener that throws is reported and disturbs nobody. */

type Listener = (...args: any[]) => void;

interface Entry {
  listener: Listener;
  once: boolean;
  tag: unknown;
}

export class Listeners {
  readonly #entries = new Map<string | symbol, Entry[]>();

  /** Adds a listener; the function given back removes it. */
  add(event: string | symbol, listener: Listener, once: boolean, tag?: unknown): () => void {
    if (!event) throw new TypeError("event must be a non-empty string");
    if (typeof listener !== "function") throw new TypeError("listener must be a function");
    const entry = { listener, once, tag };
    this.#entries.set(event, [...(this.#entries.get(event) ?? []), entry]);
    return () => this.#keep(event, (other) => other !== entry);
  }

  /** Removes by function, by tag, or all of this event. */
  remove(event: string, listenerOrTag?: unknown): void {
    this.#keep(event, (entry) =>
      listenerOrTag !== undefined &&
      (typeof listenerOrTag === "function" ? entry.listener : entry.tag) !== listenerOrTag);
  }

  /** Calls everyone who listened when it began, in order. */
  fire(event: string | symbol, ...args: unknown[]): void {
    for (const entry of this.#entries.get(event) ?? []) {
      if (entry.once) this.#keep(event, (other) => other !== entry);
      try {
        entry.listener(...args);
      } catch (error) {
        console.error(`a listener of ${String(event)} failed:`, error);
      }
    }
  }

  #keep(event: string | symbol, keeps: (entry: Entry) => boolean): void {
    const kept = (this.#entries.get(event) ?? []).filter(keeps);
    if (kept.length) this.#entries.set(event, kept);
    else this.#entries.delete(event);
  }
}
