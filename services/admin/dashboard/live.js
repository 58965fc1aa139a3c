// The news of the cluster: one stream of events for the whole page, opened again when it ends. Tells how fresh it is.
import { inWords, open } from "./api.js";
import { read } from "./stream.js";

/** A snapshot comes every second; without one for so long, what is shown is out of date. */
const STALE_MS = 3500;
/** Nothing came for so long, not even a heartbeat: the connection is dead. */
const SILENT_MS = 20_000;
const BACK_OFF_MS = [500, 1000, 2000, 4000, 8000, 15_000];

export class Live {
  #listeners = new Map();
  #running = null;
  #failures = 0;
  #arrivedAt = 0;
  #heardAt = 0;
  #retryAt = 0;
  #why = "";
  #stalled = null;
  /** The last snapshot; null before the first. */
  snapshot = null;

  constructor() {
    setInterval(() => this.#check(), 500);
  }

  /** Calls `action` with each event of this name: snapshot, job, audit, topology, missed; `begin` when a stream begins; `state`. */
  on(name, action) {
    const actions = this.#listeners.get(name) ?? [];
    actions.push(action);
    this.#listeners.set(name, actions);
    return this;
  }

  start() {
    this.stop();
    const running = new AbortController();
    this.#running = running;
    this.#follow(running.signal);
  }

  /** Ends the stream and forgets what it brought. */
  stop() {
    this.#running?.abort();
    this.#running = null;
    this.snapshot = null;
    this.#failures = 0;
    this.#arrivedAt = 0;
    this.#why = "";
  }

  async #follow(signal) {
    while (!signal.aborted) {
      try {
        await this.#once(signal);
        this.#why = "Admin ended the stream.";
      } catch (error) {
        // Without a valid token there is nothing to wait for: the login form is shown.
        if (signal.aborted || error.status === 401) return;
        this.#why = inWords(error);
      }
      if (signal.aborted) return;
      const longest = BACK_OFF_MS[Math.min(this.#failures++, BACK_OFF_MS.length - 1)];
      // Many pages must not come back in the same moment.
      const wait = longest * (0.5 + Math.random() / 2);
      this.#retryAt = performance.now() + wait;
      this.#check();
      await pause(wait, signal);
    }
  }

  async #once(signal) {
    const stalled = new AbortController();
    this.#stalled = stalled;
    this.#heardAt = performance.now();
    this.#retryAt = 0;
    const answer = await open("events", AbortSignal.any([signal, stalled.signal]));
    this.#tell("begin");
    await read(
      answer,
      (name, data) => {
        if (signal.aborted) return;
        if (name === "snapshot") this.#arrived(data);
        this.#tell(name, data);
      },
      () => (this.#heardAt = performance.now()),
    );
  }

  #arrived(snapshot) {
    this.snapshot = snapshot;
    this.#arrivedAt = performance.now();
    this.#failures = 0;
    this.#why = "";
    this.#check();
  }

  #check() {
    if (!this.#running) return;
    const now = performance.now();
    if (!this.#retryAt && now - this.#heardAt > SILENT_MS) this.#stalled?.abort();
    const age = this.#arrivedAt ? now - this.#arrivedAt : null;
    const retryInMs = this.#retryAt ? Math.max(0, this.#retryAt - now) : null;
    this.#tell("state", { fresh: age !== null && age < STALE_MS, age, retryInMs, why: this.#why });
  }

  #tell(name, data) {
    for (const action of this.#listeners.get(name) ?? []) action(data);
  }
}

function pause(ms, signal) {
  return new Promise((done) => {
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", () => (clearTimeout(timer), done()), { once: true });
  });
}
