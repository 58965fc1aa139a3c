/**
 * The client that applications use: events, requests in both directions, rooms. Its link decides when to connect.
 */

import { ABNORMAL } from "./close-codes.js";
import {
  type AnyEvents, type Closed, type ListenerOf, type Name, type Payload, type Reply, type State, type SystemEvents,
  SYSTEM_EVENTS,
} from "./events.js";
import { type ErrorObject, type FrameFields, answerFrame, readFrame, refusal } from "./frames.js";
import { Link } from "./link.js";
import { Listeners, NAME, guarded } from "./listeners.js";
import { type Options, type RequestOptions, type Settings, REQUEST_OPTIONS, duration, known, settings, wrong } from "./options.js";
import { type Done, type Traced, NOT_OPEN, RequestError, Requests } from "./requests.js";
import { type Entry, type RoomPayload, Rooms } from "./rooms.js";
import type { WebSocketLike } from "./socket.js";

/** What `emitWithPromise` resolves to. It never rejects. */
export type Result<T> = { success: true; data: T } | ({ success: false } & ErrorObject);

/** The arguments after the event's name. The payload is optional where its type allows that. */
type Args<F, Rest extends unknown[]> = undefined extends Payload<F>
  ? [payload?: Payload<F>, ...rest: Rest]
  : [payload: Payload<F>, ...rest: Rest];

/** Called once: with an error, or with null and the reply's payload. */
type Callback<F> = ((error: ErrorObject | null, payload: Reply<F>) => void) | null;

const ANY = Symbol();
/** Like the event `state`, but `off` cannot remove its listeners. */
const STATE = Symbol();

/** Errors that may pass. A room whose rejoin fails with one of them is requested again. */
const PASSING = /^(WS_.*|.*TIMEOUT|UNAVAILABLE|OVERLOADED|RATE_LIMITED)$/;

export class Connector<S extends object = AnyEvents, C extends object = AnyEvents> {
  protected readonly settings: Settings;
  readonly #listeners = new Listeners();
  readonly #handlers = new Map<string, (payload: any) => unknown>();
  readonly #requests: Requests;
  readonly #rooms = new Rooms();
  readonly #queue: string[] = [];
  readonly #link: Link;

  /** Connects at once. Throws when an option is not valid. */
  constructor(options: Options) {
    this.settings = settings(options, this.defaults(), this.unknownOption);
    this.#requests = new Requests(this.settings);
    this.#link = new Link(this.settings, {
      fire: (event, ...args) => {
        if (event === "state") this.#listeners.fire(STATE);
        this.#listeners.fire(event, ...args);
      },
      comesBack: (code, failed) => this.comesBack(code, failed),
      tellsClose: (closed, failed) => this.tellsClose(closed, failed),
      authenticate: (token, done) => this.#submit("authenticate", { token }, {}, true, done),
      opened: () => this.#rooms.joined().forEach((entry) => this.#rejoin(entry)),
      flush: () => this.#flush(),
      received: (text, socket) => this.#received(text, socket),
      disconnected: () => {
        if (this.failsAtOnce()) this.#requests.disconnected();
      },
      closed: () => {
        this.#queue.length = 0;
        if (this.failsAtOnce()) this.#requests.closed();
      },
    });
    this.#link.connect();
  }

  // ------------------------------------------------------------------------------------------------------- listening

  /** Calls `listener` with the payload of each event of this name. Returns a function that removes it. */
  on<K extends keyof SystemEvents | Name<S>>(event: K, listener: ListenerOf<S, K>, tag?: unknown): () => void {
    return this.#listeners.add(event, listener as never, false, tag);
  }

  /** Like `on`, for the next event only. */
  once<K extends keyof SystemEvents | Name<S>>(event: K, listener: ListenerOf<S, K>, tag?: unknown): () => void {
    return this.#listeners.add(event, listener as never, true, tag);
  }

  /** Removes the listeners of an event: this function, those with this tag, or all. */
  off(event: keyof SystemEvents | Name<S>, listenerOrTag?: unknown): void {
    this.#listeners.remove(event, listenerOrTag);
  }

  /** Calls `listener` with the name and payload of every event that the server pushes. */
  onAny(listener: (event: string, payload: any) => void): () => void {
    return this.#listeners.add(ANY, listener, false);
  }

  /**
   * Answers the server's requests of this name with what `handler` returns; it may be async. What it throws is sent to the
   * server as `{error, errorCode}`. There is one handler per name. Returns a function that removes it.
   */
  onRequest<K extends Name<S>>(
    event: K,
    handler: (payload: Payload<S[K]>) => Reply<S[K]> | Promise<Reply<S[K]>>,
  ): () => void {
    this.#handlers.set(event, handler);
    return () => {
      if (this.#handlers.get(event) === handler) this.#handlers.delete(event);
    };
  }

  // --------------------------------------------------------------------------------------------------------- sending

  /**
   * Sends an event; with a callback it is a request. Returns false if it was neither sent nor kept: there is no connection
   * and the offline queue is full, or too much waits in the WebSocket. Use a request for what must arrive.
   */
  emit<K extends Name<C>>(
    event: K,
    ...rest: Args<C[K], [callback?: Callback<C[K]>, options?: RequestOptions]>
  ): boolean;
  emit(event: string, payload?: unknown, callback?: any, options?: RequestOptions): boolean {
    if (!event) wrong("event", NAME);
    if (callback && typeof callback !== "function") wrong("callback", "a function");
    if (callback) return this.#ask(event, payload, options, callback, this.refused);
    known(options, REQUEST_OPTIONS, this.unknownOption);
    const [text, end] = this.#frame(event, payload);
    const isOpen = this.isOpen;
    const taken = isOpen
      ? !this.#link.full && this.#link.send(text)
      : this.state !== "closed" && this.#queue.length < this.settings.offlineQueue && !!this.#queue.push(text);
    end(taken ? undefined : isOpen ? "WS_FULL" : "WS_NOT_OPEN");
    return taken;
  }

  /** Sends a request. Always resolves: `{success: true, data}` or `{success: false, error, errorCode}`. */
  emitWithPromise<K extends Name<C>>(
    event: K,
    ...rest: Args<C[K], [options?: RequestOptions]>
  ): Promise<Result<Reply<C[K]>>>;
  emitWithPromise(event: string, payload?: unknown, options?: RequestOptions): Promise<Result<any>> {
    return new Promise((resolve) => {
      const done: Done = (error, data) => resolve(error ? { success: false, ...error } : { success: true, data });
      this.#ask(event, payload, options, done, this.refused);
    });
  }

  /** Sends a request. Resolves to the reply's payload, or rejects with a `RequestError`. */
  request<K extends Name<C>>(event: K, ...rest: Args<C[K], [options?: RequestOptions]>): Promise<Reply<C[K]>>;
  request(event: string, payload?: unknown, options?: RequestOptions): Promise<any> {
    return new Promise((resolve, reject) => {
      this.#ask(event, payload, options, (error, data) => (error ? reject(new RequestError(error)) : resolve(data)));
    });
  }

  /** Joins a room, and again after each reconnect until `leaveRoom`. Waits for a connection if there is none. */
  joinRoom(roomId: string | number, namespace?: string): Promise<any> {
    const entry = this.#rooms.wanted({ roomId, namespace });
    const reply = this.#plainly("joinRoom", entry.room);
    reply.then(() => this.#rooms.answered(entry, true), () => this.#rooms.answered(entry, false));
    return reply;
  }

  /** Leaves a room. It is not joined again, whatever the server replies. */
  leaveRoom(roomId: string | number, namespace?: string): Promise<any> {
    const room: RoomPayload = { roomId, namespace };
    this.#rooms.left(room);
    return this.#plainly("leaveRoom", room);
  }

  // -------------------------------------------------------------------------------------------------- the connection

  /** The state of the connection. The event `state` reports each change. */
  get state(): State {
    return this.#link.state;
  }

  /** Whether events and requests can be sent now. */
  get isOpen(): boolean {
    return this.#link.isOpen;
  }

  /** The server of the connection or of the next attempt: an entry of the option `url`, as it was given. */
  get url(): string {
    return this.#link.url;
  }

  /** Resolves when the connection is open, at once if it is; rejects when it is closed for good. */
  opened(): Promise<void> {
    return new Promise((resolve, reject) => {
      const look = () => {
        if (this.state === "open") resolve();
        else if (this.state === "closed") reject(new RequestError(NOT_OPEN));
        else this.#listeners.add(STATE, look, true);
      };
      look();
    });
  }

  /** Whether the client is reconnecting. */
  reconnecting(): boolean {
    return this.#link.reconnecting;
  }

  /** Ends the connection if there is one and reconnects after the usual wait. `true` resets the attempt count. */
  reconnect(repeatReset = false): void {
    this.#link.reconnect(repeatReset);
  }

  /** Reconnects now, also after a close for good, and resets the attempt count. */
  connect(): void {
    this.#link.connect();
  }

  /** Closes with code 4001, for good. Waiting requests fail; rooms and queued events are forgotten. */
  manualClose(): void {
    this.#rooms.clear();
    this.#link.close();
  }

  /** The time from one heartbeat to the next, in ms. */
  getPingInterval(): number {
    return this.settings.pingInterval;
  }

  /** Changes the interval from the next heartbeat on, or with `true` from now. Zero stops heartbeats. */
  setPingInterval(ms: number, immediate = false): void {
    duration("pingInterval", ms, 0);
    const counts = immediate || !ms || !this.settings.pingInterval;
    this.settings.pingInterval = ms;
    if (counts) this.#link.restart();
  }

  // ---------------------------------------------------------------------------- what WebSocketConnector changes

  protected defaults(): Partial<Options> {
    return {};
  }

  /** Called for each option that does not exist. */
  protected unknownOption(text: string): void {
    throw new TypeError(text);
  }

  /** Whether a push of this name reaches the listeners of that name. */
  protected mayBePushed(event: string): boolean {
    return !SYSTEM_EVENTS.includes(event);
  }

  /** The error in a reply to `emit` or `emitWithPromise`, if it is one. */
  protected refused(payload: unknown): ErrorObject | null {
    return refusal(payload);
  }

  /** Whether waiting requests fail when their connection is lost, not at their time limit. */
  protected failsAtOnce(): boolean {
    return true;
  }

  /** Whether to reconnect automatically, if the close code allows it. */
  protected comesBack(code: number, failed: boolean): boolean {
    const { autoReconnect } = this.settings;
    return autoReconnect === "always" || (autoReconnect === "error" && (failed || code === ABNORMAL));
  }

  /** Whether to fire `close`. If `failed`, `error` was fired before. */
  protected tellsClose(_closed: Closed, _failed: boolean): boolean {
    return true;
  }

  // ----------------------------------------------------------------------------------------------------------- frames

  #frame(event: string, payload: unknown, fields?: FrameFields): Traced {
    let trace: any;
    const text = JSON.stringify({
      event,
      payload: payload ?? null,
      ...fields,
      // Called last, so that a payload that cannot be JSON begins no trace. What is no trace context is left out.
      traceparent: {
        toJSON: () => guarded("traceparent", () => {
          trace = this.settings.traceparent?.(event);
          return /^[\da-f-]{55}$/.exec(trace?.traceparent ?? trace)?.[0];
        }),
      },
    });
    return [text, (error) => guarded("traceparent", () => trace?.end?.(error))];
  }

  /** Sends what waited for a connection. */
  #flush(): void {
    this.#requests.flush((text) => this.#link.send(text));
    while (this.#queue.length && this.#link.send(this.#queue[0]!)) this.#queue.shift();
  }

  /** Joins a room again on this connection, until the server agrees or refuses for good. */
  #rejoin(entry: Entry, socket = this.#link.socket): void {
    const due = () => this.#link.socket === socket && this.#rooms.has(entry);
    if (!due()) return;
    this.#submit("joinRoom", entry.room, {}, true, (error) => {
      if (!error || !due()) return;
      if (PASSING.test(error.errorCode)) {
        setTimeout(() => this.#rejoin(entry, socket), Math.random() * this.settings.fastReconnectInterval);
      } else {
        this.#rooms.left(entry.room);
        this.#listeners.fire("room-lost", { ...entry.room, ...error });
      }
    });
  }

  /** With a `retry` that is not true: these requests may happen twice, and need no idempotency key. */
  #plainly(event: string, payload: unknown): Promise<any> {
    return (this as unknown as Connector).request(event, payload, { retry: 1 as never });
  }

  /** Sends a request if there is a connection, or waits for one if the request may be repeated. */
  #ask(
    event: string,
    payload: unknown,
    options: RequestOptions | undefined,
    done: Done,
    refused?: typeof refusal,
  ): boolean {
    const isOpen = this.isOpen;
    known(options, REQUEST_OPTIONS, this.unknownOption);
    /** Nothing is sent, but the trace tells of it: it begins with a frame, and ends at once. */
    const refuse = (error: ErrorObject) => {
      this.#frame(event, null)[1](error.errorCode);
      done(error, null);
      return false;
    };
    if (!event) return refuse({ error: `event must be ${NAME}`, errorCode: "BAD_PAYLOAD" });
    if (!isOpen && !(options?.retry && this.state !== "closed")) return refuse(NOT_OPEN);
    if (this.#requests.full) return refuse({ error: "too many requests wait", errorCode: "TOO_MANY_PENDING" });
    if (this.#link.full) return refuse({ error: "too much waits to be sent", errorCode: "WS_FULL" });
    return this.#submit(event, payload, options ?? {}, isOpen, done, refused);
  }

  /** Registers a request, and sends it now or on the next connection. */
  #submit(
    event: string,
    payload: unknown,
    options: RequestOptions,
    now: boolean,
    done: Done,
    refused = refusal,
  ): boolean {
    const frame = (fields: FrameFields) => this.#frame(event, payload, fields);
    const waiting = this.#requests.add(frame, options, (error, reply) => {
      const wrong = error ?? refused(reply);
      done(wrong, wrong ? null : reply);
    });
    if (waiting && now) waiting.sent = this.#link.send(waiting.text);
    return !!waiting;
  }

  #received(text: string, socket: WebSocketLike): void {
    const { callbackId, event, payload, requestId } = readFrame(text);
    if (callbackId) this.#requests.replied(callbackId, payload);
    else if (event && requestId) this.#answer(event, payload, requestId, socket);
    else if (event) {
      if (this.mayBePushed(event)) this.#listeners.fire(event, payload);
      this.#listeners.fire(ANY, event, payload);
    }
  }

  #answer(event: string, payload: unknown, requestId: string, socket: WebSocketLike): void {
    const nobody = () => {
      throw { error: "this client does not answer it", errorCode: "UNKNOWN_EVENT" };
    };
    Promise.resolve(payload)
      .then(this.#handlers.get(event) ?? nobody)
      .then((answer) => answerFrame(answer, requestId))
      .catch((error) => {
        const text = String(error?.error ?? error?.message ?? error);
        return answerFrame({ error: text, errorCode: String(error?.errorCode ?? "INTERNAL") }, requestId);
      })
      .then((text) => {
        // Only on the connection that the request came by: another server does not know it.
        if (this.#link.socket === socket) this.#link.send(text);
      });
  }
}
