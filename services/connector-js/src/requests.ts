/** Requests that wait for their replies: ids, time limits, what happens to them when the connection breaks. */

import type { ErrorObject } from "./frames.js";
import { type RequestOptions, type Settings, duration } from "./options.js";

/** Called once: with what went wrong, or with null and the reply's payload. */
export type Done = (error: ErrorObject | null, payload: any) => void;

/** A request ended without a reply, or the server refused it. */
export class RequestError extends Error implements ErrorObject {
  readonly error: string;
  readonly errorCode: string;

  constructor({ error, errorCode }: ErrorObject) {
    super(`${error} (${errorCode})`);
    this.name = "RequestError";
    this.error = error;
    this.errorCode = errorCode;
  }
}

export const NOT_OPEN: ErrorObject = { error: "WebSocket is not open", errorCode: "WS_NOT_OPEN" };
const DISCONNECTED: ErrorObject = { error: "the connection broke before the reply came", errorCode: "WS_DISCONNECTED" };

interface Waiting {
  text: string;
  retry: boolean;
  /** On the connection of now; undefined when it never was on any. */
  sent?: boolean;
  end: Done;
}

export class Requests {
  readonly #waiting = new Map<string, Waiting>();
  #last = 0;

  readonly #settings: Settings;

  constructor(settings: Settings) {
    this.#settings = settings;
  }

  /** Whether as many wait as may. */
  get full(): boolean {
    return this.#waiting.size >= this.#settings.maxPending;
  }

  /** An id that no other client has: replies may be addressed to the client by whoever answers. */
  newId(): string {
    this.#last += 1;
    const random = Math.random().toString(36).slice(2, 6);
    return `${Date.now().toString(36)}-${random}-${this.#last.toString(36)}`;
  }

  /** Notes a request whose frame is `text`, not sent yet. Throws when a time is none. */
  add(id: string, text: string, { onPending, retry, ...times }: RequestOptions, done: Done): Waiting {
    const callbackTimeout = times.callbackTimeout || this.#settings.callbackTimeout;
    const pendingTimeout = times.pendingTimeout || this.#settings.pendingTimeout;
    duration("callbackTimeout", callbackTimeout, 1);
    duration("pendingTimeout", pendingTimeout, 1);
    const slow =
      onPending && pendingTimeout < callbackTimeout ? setTimeout(() => onPending(), pendingTimeout) : undefined;
    const limit = setTimeout(() => {
      this.#waiting.get(id)?.end({ error: `no reply within ${callbackTimeout} ms`, errorCode: "CALLBACK_TIMEOUT" }, null);
    }, callbackTimeout);
    const end: Done = (error, payload) => {
      clearTimeout(limit);
      clearTimeout(slow);
      this.#waiting.delete(id);
      done(error, payload);
    };
    const waiting: Waiting = { text, retry: !!retry, end };
    this.#waiting.set(id, waiting);
    return waiting;
  }

  /** Hands what is not sent yet to `send`. */
  flush(send: (text: string) => boolean): void {
    for (const waiting of [...this.#waiting.values()]) {
      if (!waiting.sent && send(waiting.text)) waiting.sent = true;
    }
  }

  /** A reply came; nothing happens when nobody waits for it (any more). */
  replied(id: string, payload: unknown): void {
    this.#waiting.get(id)?.end(null, payload);
  }

  /** The connection broke: those that may be repeated wait for the next one, the others fail at once. */
  disconnected(): void {
    for (const [id, waiting] of this.#waiting) {
      if (waiting.retry) waiting.sent &&= false;
      else this.#fail(id, waiting, DISCONNECTED);
    }
  }

  /** There will be no next connection. */
  closed(): void {
    for (const [id, waiting] of this.#waiting) this.#fail(id, waiting, waiting.sent == null ? NOT_OPEN : DISCONNECTED);
  }

  /** Not waiting any more from now on; told in a moment, when it is decided what becomes of the connection. */
  #fail(id: string, { end }: Waiting, error: ErrorObject): void {
    this.#waiting.delete(id);
    void Promise.resolve().then(() => end(error, null));
  }
}
