/**
 * The client: one WebSocket that is kept connected, events in and out, requests both ways. It knows when to connect, and
 * leaves the rest to its parts; timers run only while something is awaited.
 */

import { Backoff } from "./backoff.js";
import { ABNORMAL, AUTHENTICATION_FAILED, MANUAL_CLOSE, PONG_TIMEOUT, closeGroup, retryAfter } from "./close-codes.js";
import {
  type AnyEvents, type Closed, type ListenerOf, type Name, type Payload, type Reply, type State, type SystemEvents,
  SYSTEM_EVENTS,
} from "./events.js";
import { type ErrorObject, answerFrame, eventFrame, readFrame, refusal } from "./frames.js";
import { Heartbeat } from "./heartbeat.js";
import { Listeners } from "./listeners.js";
import { type Options, type RequestOptions, type Settings, type Token, duration, settings } from "./options.js";
import { type Done, NOT_OPEN, RequestError, Requests } from "./requests.js";
import { type RoomPayload, Rooms } from "./rooms.js";
import { type WebSocketConstructor, type WebSocketLike, OPEN, abandon, constructorOf, withParams } from "./socket.js";

/** What `emitWithPromise` gives: it never rejects. */
export type Result<T> = { success: true; data: T } | ({ success: false } & ErrorObject);

/** The arguments after the event's name; the payload may be left out where its type allows. */
type Args<F, Rest extends unknown[]> = undefined extends Payload<F>
  ? [payload?: Payload<F>, ...rest: Rest]
  : [payload: Payload<F>, ...rest: Rest];

/** Called once: with what went wrong, or with null and the reply's payload. */
type Callback<F> = ((error: ErrorObject | null, payload: Reply<F>) => void) | null;

const ANY = Symbol();
const BY_HAND = "client manual close";

export class Connector<S extends object = AnyEvents, C extends object = AnyEvents> {
  protected readonly settings: Settings;
  readonly #Socket: WebSocketConstructor;
  readonly #listeners = new Listeners();
  readonly #handlers = new Map<string, (payload: any) => unknown>();
  readonly #requests: Requests;
  readonly #rooms = new Rooms();
  readonly #backoff: Backoff;
  readonly #heartbeat: Heartbeat;
  readonly #queue: string[] = [];
  #socket: WebSocketLike | undefined;
  #now: State = "connecting";
  /** One more for each attempt, and for each decision that makes a running one pointless. */
  #attempt = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #openedAt = 0;
  #failed = false;
  #hint: number | undefined;

  /** Connects at once. Throws when an option cannot work. */
  constructor(options: Options) {
    this.settings = settings(options, this.defaults());
    this.#Socket = constructorOf(options.WebSocket);
    this.#requests = new Requests(this.settings);
    this.#backoff = new Backoff(this.settings);
    this.#heartbeat = new Heartbeat(this.settings, {
      ping: () => {
        this.#transmit(this.settings.pingMsg);
        this.#fire("ping");
      },
      pong: (latency) => this.#fire("pong", latency),
      lost: () => this.#broke("pong-timeout", undefined, PONG_TIMEOUT, "pong timeout"),
    });
    this.#dial();
  }

  // ------------------------------------------------------------------------------------------------------- listening

  /** Calls `listener` with the payload of each such event; the function given back stops that. */
  on<K extends keyof SystemEvents | Name<S>>(event: K, listener: ListenerOf<S, K>, tag?: unknown): () => void {
    return this.#listeners.add(event, listener as never, false, tag);
  }

  /** As `on`, for the next one only. */
  once<K extends keyof SystemEvents | Name<S>>(event: K, listener: ListenerOf<S, K>, tag?: unknown): () => void {
    return this.#listeners.add(event, listener as never, true, tag);
  }

  /** Removes the listeners of an event: this function, those with this tag, or all. */
  off(event: keyof SystemEvents | Name<S>, listenerOrTag?: unknown): void {
    this.#listeners.remove(event, listenerOrTag);
  }

  /** Calls `listener` with name and payload of everything that the server pushes. */
  onAny(listener: (event: string, payload: any) => void): () => void {
    return this.#listeners.add(ANY, listener, false);
  }

  /**
   * Answers the server's requests of this name with what `handler` gives back, also later. What it throws is told to the
   * server as `{error, errorCode}`. One handler per name; the function given back removes it.
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
   * Sends an event; with a callback it is a request. False when it was neither sent nor kept: there is no connection and
   * the offline queue is full, or the connection takes no more. What must arrive is a request.
   */
  emit<K extends Name<C>>(
    event: K,
    ...[payload, callback, options]: Args<C[K], [callback?: Callback<C[K]>, options?: RequestOptions]>
  ): boolean {
    if (!event) throw new TypeError("event must be a non-empty string");
    if (callback) return this.#ask(event, payload, options, callback);
    const text = eventFrame(event, payload, undefined, this.settings.traceparent?.());
    if (this.isOpen) return this.#transmit(text);
    const keeps = this.#now !== "closed" && this.#queue.length < this.settings.offlineQueue;
    if (keeps) this.#queue.push(text);
    return keeps;
  }

  /** Asks the server. Resolves always: `{success: true, data}` or `{success: false, error, errorCode}`. */
  emitWithPromise<K extends Name<C>>(
    event: K,
    ...[payload, options]: Args<C[K], [options?: RequestOptions]>
  ): Promise<Result<Reply<C[K]>>> {
    return new Promise((resolve) => {
      this.#ask(event, payload, options, (error, data) => {
        resolve(error ? { success: false, ...error } : { success: true, data });
      });
    });
  }

  /** Asks the server. Resolves to the reply's payload, rejects with a `RequestError`. */
  request<K extends Name<C>>(
    event: K,
    ...[payload, options]: Args<C[K], [options?: RequestOptions]>
  ): Promise<Reply<C[K]>> {
    return new Promise((resolve, reject) => {
      this.#ask(event, payload, options, (error, data) => {
        if (error) reject(new RequestError(error));
        else resolve(data);
      });
    });
  }

  /** Joins a room, and joins it again after each reconnect until `leaveRoom`. Waits for a connection if there is none. */
  joinRoom(roomId: string | number, namespace?: string): Promise<any> {
    const room: RoomPayload = { roomId, namespace };
    this.#rooms.wanted(room);
    return this.#plainly("joinRoom", room).then(
      (reply) => {
        this.#rooms.joined(room);
        return reply;
      },
      (error) => {
        this.#rooms.refused(room);
        throw error;
      },
    );
  }

  /** Leaves a room; it is not joined again, whatever the server replies. */
  leaveRoom(roomId: string | number, namespace?: string): Promise<any> {
    const room: RoomPayload = { roomId, namespace };
    this.#rooms.left(room);
    return this.#plainly("leaveRoom", room);
  }

  // -------------------------------------------------------------------------------------------------- the connection

  /** Where the connection is now; the event `state` tells each change. */
  get state(): State {
    return this.#now;
  }

  /** Whether events and requests can be sent now. */
  get isOpen(): boolean {
    return this.#now === "open" && this.#socket?.readyState === OPEN;
  }

  /** Resolves when the connection stands, at once if it does; rejects when it is closed for good. */
  opened(): Promise<void> {
    return new Promise((resolve, reject) => {
      const look = () => {
        if (this.#now === "open") resolve();
        else if (this.#now === "closed") reject(new RequestError(NOT_OPEN));
        else this.#listeners.add("state", look, true);
      };
      look();
    });
  }

  /** Whether a connection that was lost is being brought back. */
  reconnecting(): boolean {
    return this.#now === "waiting" || (this.#now === "connecting" && this.#backoff.repeat > 0);
  }

  /** Ends the connection if there is one, and connects again after the wait that is due. With `true` counting from zero. */
  reconnect(repeatReset = false): void {
    if (repeatReset) this.#backoff.repeat = 0;
    if (this.#now === "waiting") return;
    this.#release(MANUAL_CLOSE, BY_HAND);
    this.#schedule();
  }

  /** Connects anew now, also after a close for good, and counts attempts from zero. */
  connect(): void {
    this.#backoff.repeat = 0;
    this.#hint = undefined;
    this.#release(MANUAL_CLOSE, BY_HAND);
    this.#dial();
  }

  /** Closes with code 4001, for good; requests that wait fail, rooms and kept events are forgotten. */
  manualClose(): void {
    this.#rooms.clear();
    this.#release(MANUAL_CLOSE, BY_HAND);
    this.#rest();
  }

  /** The time from one heartbeat to the next, in ms. */
  getPingInterval(): number {
    return this.settings.pingInterval;
  }

  /** Changes it: from the next heartbeat on, or with `true` counted from now. Zero stops heartbeats. */
  setPingInterval(ms: number, immediate = false): void {
    duration("pingInterval", ms, 0);
    const counts = immediate || !ms || !this.settings.pingInterval;
    this.settings.pingInterval = ms;
    if (this.#now === "open" && counts) this.#heartbeat.restart();
  }

  // ---------------------------------------------------------------------------- what the original does in another way

  protected defaults(): Partial<Options> {
    return {};
  }

  /** Whether a push of this name reaches the listeners of that name. */
  protected mayBePushed(event: string): boolean {
    return !SYSTEM_EVENTS.has(event);
  }

  /** What an error reply says. */
  protected refused(payload: unknown): ErrorObject | null {
    return refusal(payload);
  }

  /** Whether requests that wait fail when their connection is gone, not at their time limit. */
  protected failsAtOnce(): boolean {
    return true;
  }

  /** Whether it connects again by itself, the close code aside. */
  protected comesBack(code: number, failed: boolean): boolean {
    const { autoReconnect } = this.settings;
    return autoReconnect === "always" || (autoReconnect === "error" && (failed || code === ABNORMAL));
  }

  /** Whether the event `close` is told; `error` was before if `failed`. */
  protected tellsClose(_closed: Closed, _failed: boolean): boolean {
    return true;
  }

  // --------------------------------------------------------------------------------------------------------- attempts

  #dial(): void {
    const attempt = ++this.#attempt;
    const { connectTimeout, customParams, protocols, token, tokenIn } = this.settings;
    this.#failed = false;
    this.#timer = setTimeout(() => {
      this.#broke("error", new Error(`no connection within ${connectTimeout} ms`));
    }, connectTimeout);
    const open = (value: Token) => {
      if (attempt !== this.#attempt) return;
      const inQuery = value != null && tokenIn !== "message";
      const params = inQuery ? { ...customParams, token: value } : { ...customParams };
      this.#attach(new this.#Socket(withParams(this.settings.url, params), protocols), inQuery ? undefined : value);
    };
    this.#become("connecting");
    // What fails at once is told later: nobody can listen to a client that is still being made.
    const fail = (error: unknown) => {
      if (attempt === this.#attempt) this.#broke("error", error);
    };
    if (token) {
      Promise.resolve().then(token).then(open).catch(fail);
      return;
    }
    try {
      open(null);
    } catch (error) {
      Promise.resolve().then(() => fail(error));
    }
  }

  #attach(socket: WebSocketLike, token: Token): void {
    this.#socket = socket;
    let opened = false;
    socket.onopen = (event) => {
      opened = true;
      if (token == null) return this.#ready(event);
      this.#submit("authenticate", { token }, {}, true, (error) => {
        if (this.#socket !== socket) return;
        if (!error) return this.#ready(event);
        const timedOut = error.errorCode === "CALLBACK_TIMEOUT";
        this.#broke("error", error, timedOut ? ABNORMAL : AUTHENTICATION_FAILED, error.error);
      });
    };
    socket.onmessage = ({ data }) => this.#received(data, socket);
    socket.onerror = (event) => {
      // Some engines tell no close after an attempt that failed.
      if (!opened) return this.#broke("error", event);
      this.#failed = true;
      this.#fire("error", event);
    };
    socket.onclose = ({ code, reason }) => this.#ended(code ?? ABNORMAL, reason ?? "");
  }

  #ready(event: unknown): void {
    clearTimeout(this.#timer);
    this.#openedAt = Date.now();
    this.#heartbeat.start();
    const socket = this.#socket;
    this.#now = "open";
    for (const room of this.#rooms.all()) this.#rejoin(room);
    this.#fire("state", "open");
    // Listeners may have closed it.
    if (this.#socket === socket) this.#fire("open", event);
    if (this.#socket !== socket) return;
    this.#requests.flush((text) => this.#transmit(text));
    while (this.#queue.length && this.#transmit(this.#queue[0]!)) this.#queue.shift();
  }

  #rejoin(room: RoomPayload): void {
    this.#ask("joinRoom", room, {}, (error) => {
      if (!error || error.errorCode === "WS_DISCONNECTED" || error.errorCode === "WS_NOT_OPEN") return;
      this.#rooms.left(room);
      this.#fire("room-lost", { ...room, ...error });
    });
  }

  /** The connection or the attempt failed without a close of the WebSocket: tell `event`, then that it is over. */
  #broke(event: "error" | "pong-timeout", error: any, code = ABNORMAL, reason = String(error?.message ?? "")): void {
    const attempt = this.#attempt;
    this.#failed = true;
    this.#fire(event, error);
    // A listener may have decided.
    if (attempt === this.#attempt) this.#ended(code, reason);
  }

  /** The connection or the attempt is over: tell, and decide what follows. */
  #ended(code: number, reason: string): void {
    // A connection that falls at once is no success: who resets here would run in circles without waiting.
    const stood = this.#now === "open" ? Date.now() - this.#openedAt : 0;
    if (stood && stood >= this.settings.fastReconnectInterval) this.#backoff.repeat = 0;
    const failed = this.#failed;
    const group = closeGroup(code);
    const willReconnect = group !== "stop" && this.comesBack(code, failed);
    if (code === PONG_TIMEOUT) this.#release(code, reason);
    else this.#release(MANUAL_CLOSE, BY_HAND);
    this.#hint = retryAfter(reason);
    const attempt = this.#attempt;
    const closed = { code, reason, group, willReconnect };
    if (this.tellsClose(closed, failed)) this.#fire("close", closed);
    // A listener may have decided.
    if (attempt !== this.#attempt) return;
    if (willReconnect) this.#schedule();
    else this.#rest();
  }

  /** Lets go of the socket and of everything that runs for it. */
  #release(code: number, reason: string): void {
    this.#attempt++;
    clearTimeout(this.#timer);
    this.#heartbeat.stop();
    const socket = this.#socket;
    if (!socket) return;
    this.#socket = undefined;
    abandon(socket, code, reason);
    if (this.failsAtOnce()) this.#requests.disconnected();
  }

  #schedule(): void {
    const timeout = this.#backoff.next(this.#hint);
    this.#hint = undefined;
    if (timeout === undefined) {
      this.#rest();
      this.#fire("repeat-limit", this.settings.repeatLimit);
      return;
    }
    this.#timer = setTimeout(() => this.#dial(), timeout);
    this.#become("waiting");
    if (this.#now === "waiting") this.#fire("reconnect", { repeat: this.#backoff.repeat, timeout });
  }

  /** Closed for good. */
  #rest(): void {
    this.#queue.length = 0;
    if (this.failsAtOnce()) this.#requests.closed();
    this.#become("closed");
  }

  #become(state: State): void {
    if (this.#now === state) return;
    this.#now = state;
    this.#fire("state", state);
  }

  // ----------------------------------------------------------------------------------------------------------- frames

  #fire(event: keyof SystemEvents, ...args: unknown[]): void {
    this.#listeners.fire(event, ...args);
  }

  /** Writes, unless too much waits already. */
  #transmit(text: string): boolean {
    const socket = this.#socket;
    if (socket?.readyState !== OPEN || (socket.bufferedAmount ?? 0) > this.settings.maxBuffered) return false;
    socket.send(text);
    return true;
  }

  #plainly(event: string, payload: unknown): Promise<any> {
    return (this as unknown as Connector).request(event, payload, { retry: true });
  }

  /** Asks when there is a connection, or waits for one if the request may be repeated. */
  #ask(event: string, payload: unknown, options: RequestOptions | undefined, done: Done): boolean {
    if (!this.isOpen && !(options?.retry && this.#now !== "closed")) {
      done(NOT_OPEN, null);
      return false;
    }
    return this.#submit(event, payload, options ?? {}, this.isOpen, done);
  }

  /** Notes a request, and sends it now or leaves that to the next connection. */
  #submit(event: string, payload: unknown, options: RequestOptions, now: boolean, done: Done): boolean {
    const refuse = (errorCode: string, error: string) => {
      done({ error, errorCode }, null);
      return false;
    };
    const requests = this.#requests;
    if (!event) return refuse("BAD_PAYLOAD", "the event has no name");
    if (requests.full) return refuse("TOO_MANY_PENDING", "too many requests wait for their replies already");
    const limits = requests.limits(options);
    const id = requests.newId();
    let text: string;
    try {
      text = eventFrame(event, payload, id, this.settings.traceparent?.());
    } catch (error) {
      return refuse("BAD_PAYLOAD", `the payload cannot be JSON: ${error}`);
    }
    if (now && !this.#transmit(text)) return refuse("WS_FULL", "too much waits to be sent");
    requests.add(id, text, now, limits, (error, reply) => {
      const wrong = error ?? this.refused(reply);
      done(wrong, wrong ? null : reply);
    });
    return true;
  }

  #received(data: unknown, socket: WebSocketLike): void {
    this.#fire("message", data);
    if (typeof data !== "string" || this.#socket !== socket) return;
    if (data === this.settings.pingMsg) return this.#heartbeat.answered();
    const frame = readFrame(data);
    if (!frame) return;
    const { event, payload, callbackId, requestId } = frame;
    if (callbackId) this.#requests.replied(callbackId, payload);
    else if (event && requestId) this.#answer(event, payload, requestId, socket);
    else if (event) {
      if (this.mayBePushed(event)) this.#listeners.fire(event, payload);
      this.#listeners.fire(ANY, event, payload);
    }
  }

  #answer(event: string, payload: unknown, requestId: string, socket: WebSocketLike): void {
    const handler = this.#handlers.get(event);
    const answered = handler
      ? Promise.resolve(payload).then(handler)
      : Promise.reject({ error: "this client does not answer it", errorCode: "UNKNOWN_EVENT" });
    answered
      .catch((error) => ({
        error: String(error?.error ?? error?.message ?? error),
        errorCode: String(error?.errorCode ?? "INTERNAL"),
      }))
      .then((answer) => {
        // Only on the connection that it came by: another server knows nothing of it.
        if (this.#socket === socket) this.#transmit(answerFrame(answer, requestId));
      });
  }
}
