/**
 * Keeps one WebSocket connected: attempts, the heartbeat, reconnecting. It knows nothing about events and requests; timers
 * run only while something is awaited.
 */

import { waitBefore } from "./backoff.js";
import {
  ABNORMAL, ABOUT_CLIENT, AUTHENTICATION_FAILED, MANUAL_CLOSE, PONG_TIMEOUT, closeGroup, retryAfter,
} from "./close-codes.js";
import type { Closed, State, SystemEvents } from "./events.js";
import type { ErrorObject } from "./frames.js";
import { Heartbeat } from "./heartbeat.js";
import type { Settings, Token } from "./options.js";
import { type WebSocketConstructor, type WebSocketLike, OPEN, abandon, constructorOf, withParams } from "./socket.js";

/** What the link asks its owner and reports to it. */
export interface LinkOwner {
  fire(event: keyof SystemEvents, ...args: unknown[]): void;
  /** Whether to reconnect, if the close code allows it. */
  comesBack(code: number, failed: boolean): boolean;
  /** Whether to fire `close` for this end. */
  tellsClose(closed: Closed, failed: boolean): boolean;
  /** A WebSocket opened: authenticate with this token. */
  authenticate(token: string, done: (error: ErrorObject | null) => void): void;
  /** The connection is open. Called before listeners are. */
  opened(): void;
  /** Listeners were called: send what waited for the connection. */
  flush(): void;
  /** A frame was received that is not a heartbeat. */
  received(text: string, socket: WebSocketLike): void;
  /** The connection is lost. */
  disconnected(): void;
  /** Closed for good. */
  closed(): void;
}

export class Link {
  state: State = "connecting";
  socket: WebSocketLike | undefined;
  readonly #settings: Settings;
  readonly #owner: LinkOwner;
  readonly #Socket: WebSocketConstructor;
  readonly #heartbeat: Heartbeat;
  /** Attempts since the last connection that lasted. */
  #repeat = 0;
  /** Incremented with each attempt, and with each decision that ends a running one. */
  #attempt = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #openedAt = 0;
  #failed = false;
  /** The index of the server of the connection, or of the next attempt. */
  #at = 0;
  /**
   * For each server when it may be tried again: the time of its last failure, plus the delay that it asked for. Zero: never
   * failed. So the smallest is the next server in turn, or of those that asked for delays the first to be available.
   */
  #notBefore: number[] = [];

  constructor(settings: Settings, owner: LinkOwner) {
    this.#settings = settings;
    this.#owner = owner;
    this.#Socket = constructorOf(settings.WebSocket);
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

  /** The server of the connection, or of the next attempt. */
  get url(): string {
    return this.#settings.url[this.#at]!;
  }

  get reconnecting(): boolean {
    return this.state === "waiting" || (this.state === "connecting" && this.#repeat > 0);
  }

  /** Connects now and resets the attempt count. */
  connect(): void {
    this.#repeat = 0;
    this.#notBefore = this.#settings.url.map(() => 0);
    this.#release();
    this.#dial();
  }

  /** Reconnects after the usual wait, unless that is running already. */
  reconnect(repeatReset: boolean): void {
    if (repeatReset) this.#repeat = 0;
    if (this.state === "waiting") return;
    this.#release();
    this.#schedule();
  }

  close(): void {
    this.#release();
    this.#rest();
  }

  /** Sends the next heartbeat after a whole interval. */
  restart(): void {
    if (this.state === "open") this.#heartbeat.restart();
  }

  /** Whether too many bytes wait in the WebSocket to accept more frames. */
  get full(): boolean {
    return this.socket?.bufferedAmount! > this.#settings.maxBuffered;
  }

  /** Sends a frame. Returns false if the WebSocket is not open. */
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
    // An error at this point is reported later: a client has no listeners while its constructor runs.
    Promise.resolve().then(token).then(open).catch((error) => {
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
      // Some engines do not fire close after a failed attempt.
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
    // A listener may have closed it.
    if (this.socket === socket) this.#owner.fire("open", event);
    if (this.socket === socket) this.#owner.flush();
  }

  /** The connection or the attempt failed without a close of the WebSocket: fire `event`, then handle the end. */
  #broke(event: "error" | "pong-timeout", error: any, code = ABNORMAL, reason = String(error?.message ?? "")): void {
    const attempt = this.#attempt;
    this.#failed = true;
    this.#owner.fire(event, error);
    // A listener may have decided already.
    if (attempt === this.#attempt) this.#ended(code, reason);
  }

  /** The connection or the attempt ended: fire `close`, and decide what follows. */
  #ended(code: number, reason: string): void {
    // Only a connection that lasted resets the count: else a server that closes at once would be asked without any wait.
    const stood = this.state === "open" ? Date.now() - this.#openedAt : 0;
    if (stood >= this.#settings.fastReconnectInterval) this.#repeat = 0;
    const failed = this.#failed;
    // An expired token is not a failure if the provider has a fresh one.
    const ranOut = code === AUTHENTICATION_FAILED && this.state === "open" && this.#settings.token;
    const group = ranOut ? "now" : closeGroup(code);
    const willReconnect = group !== "stop" && this.#owner.comesBack(code, failed);
    if (code === PONG_TIMEOUT) this.#release(code, reason);
    else this.#release();
    if (group !== "stop") {
      this.#notBefore[this.#at] = Date.now() + (retryAfter(reason) ?? 0);
      if (!ABOUT_CLIENT.includes(code)) this.#at = this.#notBefore.indexOf(Math.min(...this.#notBefore));
    }
    const attempt = this.#attempt;
    const closed = { code, reason, group, willReconnect };
    if (this.#owner.tellsClose(closed, failed)) this.#owner.fire("close", closed);
    // A listener may have decided already.
    if (attempt !== this.#attempt) return;
    if (willReconnect) this.#schedule();
    else this.#rest();
  }

  /** Closes the socket and stops everything that runs for it. */
  #release(code = MANUAL_CLOSE, reason = "client manual close"): void {
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
    const { repeatLimit } = this.#settings;
    if (repeatLimit !== null && this.#repeat >= repeatLimit) {
      this.#rest();
      this.#owner.fire("repeat-limit", repeatLimit);
      return;
    }
    const timeout = waitBefore(++this.#repeat, this.#notBefore[this.#at]! - Date.now(), this.#settings);
    this.#timer = setTimeout(() => this.#dial(), timeout);
    this.#become("waiting");
    if (this.state === "waiting") this.#owner.fire("reconnect", { repeat: this.#repeat, timeout });
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
