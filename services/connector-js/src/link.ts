/**
 * Keeps one WebSocket connected: attempts, the heartbeat, what follows an end. It knows nothing of events and requests;
 * timers run only while something is awaited.
 */

import { Backoff } from "./backoff.js";
import {
  ABNORMAL, ABOUT_CLIENT, AUTHENTICATION_FAILED, MANUAL_CLOSE, PONG_TIMEOUT, closeGroup, retryAfter,
} from "./close-codes.js";
import type { Closed, State, SystemEvents } from "./events.js";
import type { ErrorObject } from "./frames.js";
import { Heartbeat } from "./heartbeat.js";
import type { Settings, Token } from "./options.js";
import { type WebSocketConstructor, type WebSocketLike, OPEN, abandon, constructorOf, withParams } from "./socket.js";

/** What the link asks of its owner, and tells it. */
export interface LinkOwner {
  fire(event: keyof SystemEvents, ...args: unknown[]): void;
  /** Whether to connect again, the close code's group aside. */
  comesBack(code: number, failed: boolean): boolean;
  /** Whether listeners are told of this end. */
  tellsClose(closed: Closed, failed: boolean): boolean;
  /** A WebSocket opened: say who this is. */
  authenticate(token: string, done: (error: ErrorObject | null) => void): void;
  /** The connection stands; listeners are told next. */
  opened(): void;
  /** They were told: now what waited for it can be sent. */
  flush(): void;
  /** A text came that is no heartbeat. */
  received(text: string, socket: WebSocketLike): void;
  /** A connection is gone. */
  disconnected(): void;
  /** There will be no other. */
  closed(): void;
}

const BY_HAND = "client manual close";

export class Link {
  state: State = "connecting";
  socket: WebSocketLike | undefined;
  readonly #settings: Settings;
  readonly #owner: LinkOwner;
  readonly #Socket: WebSocketConstructor;
  readonly #backoff: Backoff;
  readonly #heartbeat: Heartbeat;
  /** One more for each attempt, and for each decision that makes a running one pointless. */
  #attempt = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #openedAt = 0;
  #failed = false;
  /** The place of the server of now, or of the next attempt. */
  #at = 0;
  /**
   * For each server when it may be tried again: after a failure the time of that, or what it asked for. Zero: untried. So
   * the least is the next in turn that asked for no delay, or of those that did the first to be back.
   */
  #notBefore: number[] = [];

  constructor(settings: Settings, owner: LinkOwner) {
    this.#settings = settings;
    this.#owner = owner;
    this.#Socket = constructorOf(settings.WebSocket);
    this.#backoff = new Backoff(settings);
    this.#heartbeat = new Heartbeat(settings, {
      ping: () => {
        this.send(settings.pingMsg);
        owner.fire("ping");
      },
      pong: (latency) => owner.fire("pong", latency),
      lost: () => this.#broke("pong-timeout", undefined, PONG_TIMEOUT, "pong timeout"),
    });
  }

  get isOpen(): boolean {
    return this.state === "open" && this.socket?.readyState === OPEN;
  }

  /** Of the connection, or of the next attempt. */
  get url(): string {
    return this.#settings.url[this.#at]!;
  }

  get reconnecting(): boolean {
    return this.state === "waiting" || (this.state === "connecting" && this.#backoff.repeat > 0);
  }

  /** Connects now and counts attempts from zero. */
  connect(): void {
    this.#backoff.repeat = 0;
    this.#notBefore = this.#settings.url.map(() => 0);
    this.#release(MANUAL_CLOSE, BY_HAND);
    this.#dial();
  }

  /** Connects again after the wait that is due, unless that runs already. */
  reconnect(repeatReset: boolean): void {
    if (repeatReset) this.#backoff.repeat = 0;
    if (this.state === "waiting") return;
    this.#release(MANUAL_CLOSE, BY_HAND);
    this.#schedule();
  }

  close(): void {
    this.#release(MANUAL_CLOSE, BY_HAND);
    this.#rest();
  }

  /** The next heartbeat comes after a whole interval. */
  restart(): void {
    if (this.state === "open") this.#heartbeat.restart();
  }

  /** Whether too much waits in the WebSocket for more of the application's frames. */
  get full(): boolean {
    return (this.socket?.bufferedAmount ?? 0) > this.#settings.maxBuffered;
  }

  /** Writes; false without an open WebSocket. */
  send(text: string): boolean {
    if (this.socket?.readyState !== OPEN) return false;
    this.socket.send(text);
    return true;
  }

  #dial(): void {
    const attempt = ++this.#attempt;
    const { connectTimeout, customParams, protocols, token, tokenIn } = this.#settings;
    this.#failed = false;
    this.#timer = setTimeout(() => {
      this.#broke("error", new Error(`no connection within ${connectTimeout} ms`));
    }, connectTimeout);
    const open = (value: Token) => {
      if (attempt !== this.#attempt) return;
      const inQuery = value != null && tokenIn !== "message";
      const params = { ...customParams, ...(inQuery && { token: value }) };
      this.#attach(new this.#Socket(withParams(this.url, params), protocols), inQuery ? undefined : value);
    };
    this.#become("connecting");
    // What fails at once is told later: nobody can listen to a client that is still being made.
    new Promise((done) => done(token ? Promise.resolve().then(token).then(open) : open(null))).catch((error) => {
      if (attempt === this.#attempt) this.#broke("error", error);
    });
  }

  #attach(socket: WebSocketLike, token: Token): void {
    this.socket = socket;
    let opened = false;
    socket.onopen = (event) => {
      opened = true;
      if (token == null) return this.#ready(event);
      this.#owner.authenticate(token, (error) => {
        if (this.socket !== socket) return;
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
      this.#owner.fire("error", event);
    };
    socket.onclose = ({ code, reason }) => this.#ended(code ?? ABNORMAL, reason ?? "");
  }

  #ready(event: unknown): void {
    clearTimeout(this.#timer);
    this.#openedAt = Date.now();
    this.#heartbeat.start();
    const socket = this.socket;
    this.state = "open";
    this.#owner.opened();
    this.#owner.fire("state", "open");
    // Listeners may have closed it.
    if (this.socket === socket) this.#owner.fire("open", event);
    if (this.socket === socket) this.#owner.flush();
  }

  /** The connection or the attempt failed without a close of the WebSocket: tell `event`, then that it is over. */
  #broke(event: "error" | "pong-timeout", error: any, code = ABNORMAL, reason = String(error?.message ?? "")): void {
    const attempt = this.#attempt;
    this.#failed = true;
    this.#owner.fire(event, error);
    // A listener may have decided.
    if (attempt === this.#attempt) this.#ended(code, reason);
  }

  /** The connection or the attempt is over: tell, and decide what follows. */
  #ended(code: number, reason: string): void {
    // A connection that falls at once is no success: who resets here would run in circles without waiting.
    const stood = this.state === "open" ? Date.now() - this.#openedAt : 0;
    if (stood >= this.#settings.fastReconnectInterval) this.#backoff.repeat = 0;
    const failed = this.#failed;
    // A token that ran out is no failure if there is a fresh one.
    const ranOut = code === AUTHENTICATION_FAILED && this.state === "open" && this.#settings.token;
    const group = ranOut ? "now" : closeGroup(code);
    const willReconnect = group !== "stop" && this.#owner.comesBack(code, failed);
    if (code === PONG_TIMEOUT) this.#release(code, reason);
    else this.#release(MANUAL_CLOSE, BY_HAND);
    if (group !== "stop") {
      this.#notBefore[this.#at] = Date.now() + (retryAfter(reason) ?? 0);
      if (!ABOUT_CLIENT.includes(code)) this.#at = this.#notBefore.indexOf(Math.min(...this.#notBefore));
    }
    const attempt = this.#attempt;
    const closed = { code, reason, group, willReconnect };
    if (this.#owner.tellsClose(closed, failed)) this.#owner.fire("close", closed);
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
    const socket = this.socket;
    if (!socket) return;
    this.socket = undefined;
    abandon(socket, code, reason);
    this.#owner.disconnected();
  }

  #schedule(): void {
    const timeout = this.#backoff.next(this.#notBefore[this.#at]! - Date.now());
    if (timeout === undefined) {
      this.#rest();
      this.#owner.fire("repeat-limit", this.#settings.repeatLimit);
      return;
    }
    this.#timer = setTimeout(() => this.#dial(), timeout);
    this.#become("waiting");
    if (this.state === "waiting") this.#owner.fire("reconnect", { repeat: this.#backoff.repeat, timeout });
  }

  /** Closed for good. */
  #rest(): void {
    this.#owner.closed();
    this.#become("closed");
  }

  #become(state: State): void {
    if (this.state === state) return;
    this.state = state;
    this.#owner.fire("state", state);
  }

  #received(data: unknown, socket: WebSocketLike): void {
    this.#owner.fire("message", data);
    if (typeof data !== "string" || this.socket !== socket) return;
    if (data === this.#settings.pingMsg) this.#heartbeat.answered();
    else this.#owner.received(data, socket);
  }
}
