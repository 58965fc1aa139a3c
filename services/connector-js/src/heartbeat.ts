/** The heartbeat of one connection: a ping, its pong within the time limit, the next ping. */

import type { Settings } from "./options.js";

type Timer = ReturnType<typeof setTimeout>;

export interface HeartbeatEvents {
  /** Time to send the ping. */
  ping(): void;
  /** It was answered after this many ms. */
  pong(latency: number): void;
  /** It was not answered in time. */
  lost(): void;
}

export class Heartbeat {
  #timer: Timer | undefined;
  #sentAt: number | undefined;

  readonly #settings: Settings;
  readonly #events: HeartbeatEvents;

  constructor(settings: Settings, events: HeartbeatEvents) {
    this.#settings = settings;
    this.#events = events;
  }

  /** Starts. The first ping comes after a random part of the interval, so that many clients do not send at the same time. */
  start(): void {
    this.#wait(this.#settings.pingInterval * Math.random());
  }

  /** Starts again with a whole interval, unless a pong is awaited: that pong decides first. */
  restart(): void {
    if (this.#sentAt === undefined) this.#wait(this.#settings.pingInterval);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#sentAt = undefined;
  }

  /** The server sent the heartbeat's text. Without a ping before it, it is ignored. */
  answered(): void {
    if (this.#sentAt === undefined) return;
    const latency = Date.now() - this.#sentAt;
    this.#wait(Math.max(0, this.#settings.pingInterval - latency));
    this.#events.pong(latency);
  }

  #wait(ms: number): void {
    this.stop();
    if (this.#settings.pingInterval) this.#timer = setTimeout(() => this.#beat(), ms);
  }

  #beat(): void {
    this.#sentAt = Date.now();
    this.#timer = setTimeout(() => this.#events.lost(), this.#settings.pongTimeout);
    this.#events.ping();
  }
}
