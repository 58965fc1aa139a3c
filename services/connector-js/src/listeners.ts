/** Listeners by event. An error that a listener throws is logged and does not affect the others. */

import { wrong } from "./options.js";

/** What the name of an event must be. */
export const NAME = "a non-empty string";

type Listener = (...args: any[]) => void;

/** Calls code of the application. An error that it throws is logged and goes no further. */
export function guarded<T>(what: string, call: () => T): T | undefined {
  try {
    return call();
  } catch (error) {
    console.error(`${what} failed:`, error);
  }
}

interface Entry {
  listener: Listener;
  once: boolean;
  tag: unknown;
}

export class Listeners {
  readonly #entries = new Map<string | symbol, Entry[]>();

  /** Adds a listener. Returns a function that removes it. */
  add(event: string | symbol, listener: Listener, once: boolean, tag?: unknown): () => void {
    if (!event) wrong("event", NAME);
    if (typeof listener !== "function") wrong("listener", "a function");
    const entry = { listener, once, tag };
    this.#entries.set(event, [...(this.#entries.get(event) ?? []), entry]);
    return () => this.#keep(event, (other) => other !== entry);
  }

  /** Removes the listeners of an event: this function, those with this tag, or all. */
  remove(event: string, listenerOrTag?: unknown): void {
    this.#keep(event, (entry) =>
      listenerOrTag !== undefined &&
      (typeof listenerOrTag === "function" ? entry.listener : entry.tag) !== listenerOrTag);
  }

  /** Calls the listeners in order; those that are added meanwhile are not called. */
  fire(event: string | symbol, ...args: unknown[]): void {
    for (const entry of this.#entries.get(event) ?? []) {
      if (entry.once) this.#keep(event, (other) => other !== entry);
      guarded(`a listener of ${String(event)}`, () => entry.listener(...args));
    }
  }

  #keep(event: string | symbol, keeps: (entry: Entry) => boolean): void {
    const kept = (this.#entries.get(event) ?? []).filter(keeps);
    if (kept.length) this.#entries.set(event, kept);
    else this.#entries.delete(event);
  }
}
