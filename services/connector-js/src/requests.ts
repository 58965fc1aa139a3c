/** Requests that wait for replies: ids, time limits, and what happens to them when the connection breaks. */

import { type ErrorObject, type FrameFields, refusal } from "./frames.js";
import { type RequestOptions, type Settings, duration } from "./options.js";

/** Called once: with an error, or with null and the reply's payload. */
export type Done = (error: ErrorObject | null, payload: any) => void;

/** A request ended without a reply, or the server refused it. */
export class RequestError extends Error implements ErrorObject {
  declare readonly error: string;
  declare readonly errorCode: string;

  constructor({ error, errorCode }: ErrorObject) {
    super(`${error} (${errorCode})`);
    Object.assign(this, { name: "RequestError", error, errorCode });
  }
}

/** A frame's text, and how its trace ends. */
export type Traced = [text: string, end: (error?: string) => void];

export const NOT_OPEN: ErrorObject = { error: "WebSocket is not open", errorCode: "WS_NOT_OPEN" };
const DISCONNECTED: ErrorObject = { error: "the connection broke before the reply came", errorCode: "WS_DISCONNECTED" };

interface Waiting {
  text: string;
  retry: boolean;
  /** Whether it was sent on the current connection; undefined if it was never sent. */
  sent?: boolean;
  settle: Done;
}

export class Requests {
  readonly #waiting = new Map<string, Waiting>();
  #last = 0;

  readonly #settings: Settings;

  constructor(settings: Settings) {
    this.#settings = settings;
  }

  /** Whether the limit of waiting requests is reached. */
  get full(): boolean {
    return this.#waiting.size >= this.#settings.maxPending;
  }

  /**
   * Registers a request that is not sent yet; `frame` makes its text and begins its trace. Nothing, if its payload cannot be JSON. Throws when a time
   * limit is not valid.
   */
  add(
    frame: (fields: FrameFields) => Traced,
    { onPending, retry, idempotencyKey, ...times }: RequestOptions,
    done: Done,
  ): Waiting | undefined {
    // An id that no other client uses: any server may address a reply to this client.
    const random = Math.random().toString(36).slice(2, 6);
    const id = `${Date.now().toString(36)}-${random}-${(++this.#last).toString(36)}`;
    const callbackTimeout = times.callbackTimeout || this.#settings.callbackTimeout;
    const pendingTimeout = times.pendingTimeout || this.#settings.pendingTimeout;
    duration("callbackTimeout", callbackTimeout, 1);
    duration("pendingTimeout", pendingTimeout, 1);
    let text: string;
    let end: Traced[1];
    try {
      [text, end] = frame({
        callbackId: id,
        timeoutMs: callbackTimeout === 5000 ? undefined : callbackTimeout,
        idempotencyKey: idempotencyKey ?? (retry === true ? id : undefined),
      });
    } catch (error) {
      return void done({ error: `the payload cannot be JSON: ${error}`, errorCode: "BAD_PAYLOAD" }, null);
    }
    const slow = onPending && pendingTimeout < callbackTimeout && setTimeout(() => onPending(), pendingTimeout);
    const limit = setTimeout(() => {
      settle({ error: `no reply within ${callbackTimeout} ms`, errorCode: "CALLBACK_TIMEOUT" }, null);
    }, callbackTimeout);
    const settle: Done = (error, payload) => {
      clearTimeout(limit);
      clearTimeout(slow as never);
      this.#waiting.delete(id);
      end((error ?? refusal(payload))?.errorCode);
      done(error, payload);
    };
    const waiting: Waiting = { text, retry: !!retry, settle };
    this.#waiting.set(id, waiting);
    return waiting;
  }

  /** Sends the requests that are not sent yet. */
  flush(send: (text: string) => boolean): void {
    for (const waiting of [...this.#waiting.values()]) {
      if (!waiting.sent && send(waiting.text)) waiting.sent = true;
    }
  }

  /** Ends the request that a reply answers. Ignores a reply that no request waits for. */
  replied(id: string, payload: unknown): void {
    this.#waiting.get(id)?.settle(null, payload);
  }

  /** The connection broke: requests that may be repeated wait for the next one, the others fail at once. */
  disconnected(): void {
    for (const [id, waiting] of this.#waiting) {
      if (waiting.retry) waiting.sent &&= false;
      else this.#fail(id, waiting);
    }
  }

  /** Closed for good: every waiting request fails. */
  closed(): void {
    for (const [id, waiting] of this.#waiting) this.#fail(id, waiting);
  }

  /** Removes a request now. Its callback runs in a microtask, when the new state of the connection is known. */
  #fail(id: string, { settle, sent }: Waiting): void {
    this.#waiting.delete(id);
    void Promise.resolve().then(() => settle(sent == null ? NOT_OPEN : DISCONNECTED, null));
  }
}
