// Runs scenarios of tests/vectors/client-behaviour.json against a client of this package. The table itself says what the
// steps mean.
import assert from "node:assert/strict";
import { Clock, within } from "./clock.mjs";
import { Inbox, Server } from "./server.mjs";

/** Runs one scenario. Every random number is `random`. */
export async function run(Client, WebSocket, scenario, each, random) {
  const clock = Clock.install(random);
  const servers = [];
  while (servers.length < (scenario.servers ?? 1)) servers.push(await Server.start());
  const traces = new Traces(scenario.traces);
  const options = { ...scenario.options, ...(scenario.traces && { traceparent: (event) => traces.begin(event) }) };
  const stage = new Stage(Client, WebSocket, servers, clock, options, random, traces);
  const { error: complain } = console;
  if (/^fails/.test(scenario.traces)) console.error = () => {};
  try {
    for (const written of scenario.steps) {
      const step = each === undefined ? written : fill(written, "$each", each);
      const [verb] = Object.keys(step);
      assert.ok(stage[verb], `the table has a step that is not known here: ${verb}`);
      try {
        await within(5000, Promise.resolve(stage[verb](step[verb], step)));
      } catch (error) {
        throw new Error(`in the step ${JSON.stringify(step)}, random ${random}: ${error.message}`, { cause: error });
      }
    }
  } finally {
    console.error = complain;
    stage.client.manualClose();
    for (const server of servers) await server.stop();
    clock.restore();
  }
}

function fill(value, name, by) {
  if (value === name) return by;
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map((item) => fill(item, name, by));
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, fill(item, name, by)]));
}

/** The traces of a scenario: what the application's code does in them, and what it saw. */
class Traces {
  #begun = 0;
  #ended = [];

  constructor(how) {
    this.how = how;
  }

  static context(number) {
    const hex = (digits) => number.toString(16).padStart(digits, "0");
    return `00-${hex(32)}-${hex(16)}-01`;
  }

  begin(event) {
    const context = Traces.context(++this.#begun);
    if (this.how === "failsAtBegin") throw new Error("as the table wants it");
    if (this.how === "text") return context;
    const end = (error) => {
      this.#ended.push([event, error ?? null]);
      if (this.how === "failsAtEnd") throw new Error("as the table wants it");
    };
    return { traceparent: this.how === "garbage" ? `${context}0` : context, end };
  }

  /** Those that ended since the last time that this was asked, in any order. */
  ended() {
    return this.#ended.splice(0).sort();
  }
}

/** The verbs of the table. Each method takes the verb's value and the whole step. */
class Stage {
  #seen = new Map();
  #ids = new Map();
  #replies = new Map();
  #listeners = new Map();
  #pending = [];
  #wait = 0;

  constructor(Client, WebSocket, servers, clock, options, random, traces) {
    this.clock = clock;
    this.traces = traces;
    this.servers = servers;
    this.random = random;
    const urls = servers.map(({ url }) => url);
    this.client = new Client({ url: urls.length > 1 ? urls : urls[0], pingInterval: 0, WebSocket, ...options });
    const client = this.client;
    client.on("open", () => this.#of("open").put({}));
    client.on("close", (closed) => this.#of("ended").put(closed));
    client.on("reconnect", (attempt) => this.#of("reconnect").put(attempt));
    client.on("pong", (latency) => this.#of("pong").put({ latency }));
    client.on("room-lost", (room) => this.#of("roomLost").put(room));
    client.on("repeat-limit", (limit) => this.#of("limit").put(limit));
    client.on("state", (state) => state === "closed" && this.#of("rests").put({}));
    client.onAny((event, payload) => this.#of("event").put({ event, payload }));
  }

  #of(kind) {
    if (!this.#seen.has(kind)) this.#seen.set(kind, new Inbox());
    return this.#seen.get(kind);
  }

  // the server

  #server({ at = 1 }) {
    const server = this.servers[at - 1];
    assert.equal(this.client.url, server.url);
    return server;
  }

  async accept(_, step) {
    this.peer = await this.#server(step).accept();
  }

  refuse(_, step) {
    return this.#server(step).refuse();
  }

  silence(_, step) {
    return this.#server(step).leaveWaiting();
  }

  async reads(expected) {
    if (typeof expected === "string") return assert.equal(await this.peer.read(), expected);
    this.#same(await this.peer.json(), expected);
  }

  async readsText(expected) {
    assert.equal(await this.peer.read(), expected);
  }

  async readsAll(expected) {
    const got = [];
    for (const _ of expected) got.push(await this.peer.json());
    const order = (frames) => [...frames].sort(byEvent);
    order(got).forEach((frame, i) => this.#same(frame, order(expected)[i]));
  }

  /**
   * Equal, where a `$NAME` stands for any text. It is known from then on: the callback id of a repeat may be another one, its
   * idempotency key must be the same.
   */
  #same(got, expected) {
    const filled = { ...expected };
    if (expected.traceparent) filled.traceparent = Traces.context(Number(expected.traceparent.slice(1)));
    for (const [field, most] of [["callbackId", 64], ["idempotencyKey", 128]]) {
      const name = expected[field];
      if (!name?.startsWith("$")) continue;
      if (!this.#ids.has(name)) assert.match(String(got[field]), new RegExp(`^.{1,${most}}$`));
      if (field === "callbackId" || !this.#ids.has(name)) this.#ids.set(name, got[field]);
      filled[field] = this.#ids.get(name);
    }
    assert.deepEqual(got, filled);
  }

  says(frame) {
    this.peer.say(typeof frame === "string" ? frame : fill(frame, frame.callbackId, this.#ids.get(frame.callbackId)));
  }

  closes([code, reason]) {
    this.peer.socket.close(code, reason);
  }

  drops() {
    this.peer.drop();
  }

  async sees([code, reason]) {
    const closed = await this.peer.closed();
    assert.equal(closed[0], code);
    if (reason !== null) assert.equal(closed[1], reason);
  }

  // the client

  emit(event, { payload }) {
    this.client.emit(event, payload);
  }

  request(event, { request: _, payload, as, pending, ...options }) {
    if (pending) options.onPending = () => this.#pending.push(as);
    this.#asked(as, this.client.request(event, payload, options));
  }

  joinRoom(room, { as }) {
    this.#asked(as, this.client.joinRoom(...room));
  }

  leaveRoom(room, { as }) {
    this.#asked(as, this.client.leaveRoom(...room));
  }

  #asked(as, promise) {
    const outcome = promise.then((payload) => ({ payload }), (error) => ({ code: error.errorCode }));
    this.#replies.set(as, outcome);
  }

  on(event, { as, tag }) {
    const listener = () => this.#of("heard").put(as);
    this.#listeners.set(as, listener);
    this.client.on(event, listener, tag);
  }

  once(event, { as, tag }) {
    this.client.once(event, () => this.#of("heard").put(as), tag);
  }

  off(event, { as, tag }) {
    this.client.off(event, as === undefined ? tag : this.#listeners.get(as));
  }

  answer(event, { payload }) {
    this.client.onRequest(event, () => payload);
  }

  close() {
    this.client.manualClose();
  }

  connect() {
    this.client.connect();
  }

  reconnect(repeatReset) {
    this.client.reconnect(repeatReset);
  }

  pingInterval(ms) {
    this.client.setPingInterval(ms, true);
  }

  // time

  after(ms) {
    this.clock.tick(ms);
  }

  waits() {
    if (this.#wait > 1) {
      this.clock.tick(this.#wait - 1);
      assert.equal(this.client.state, "waiting", "it came too early");
    }
    this.clock.tick(1);
  }

  // expectations

  async expect(what, step) {
    const check = this[`expect_${what}`];
    assert.ok(check, `the table expects what is not known here: ${what}`);
    await check.call(this, step);
  }

  async expect_open() {
    await this.#of("open").next();
    assert.ok(this.client.isOpen);
  }

  async expect_ended({ code }) {
    assert.equal((await this.#of("ended").next()).code, code);
  }

  async expect_reconnect({ repeat, wait: [least, most] }) {
    const attempt = await this.#of("reconnect").next();
    assert.equal(attempt.repeat, repeat);
    const expected = least + (most - least) * this.random;
    assert.ok(Math.abs(attempt.timeout - expected) <= 1, `waits ${attempt.timeout} ms and not ${expected}`);
    assert.ok(this.client.reconnecting());
    this.#wait = attempt.timeout;
  }

  async expect_rests({ because }) {
    await this.#of("rests").next();
    assert.equal(this.client.state, "closed");
    assert.ok(!this.client.reconnecting());
    assert.equal(this.#of("limit").size, because === "limit" ? 1 : 0);
  }

  async expect_pong() {
    const { latency } = await this.#of("pong").next();
    assert.ok(latency >= 0 && latency < 2000, `${latency} ms`);
  }

  async expect_reply({ of, payload }) {
    assert.deepEqual(await this.#replies.get(of), { payload });
  }

  async expect_error({ of, code }) {
    const outcome = await this.#replies.get(of);
    assert.ok(outcome.code, `it was no error: ${JSON.stringify(outcome)}`);
    if (code) assert.equal(outcome.code, code);
  }

  expect_pending({ of }) {
    assert.deepEqual(this.#pending, of);
  }

  async expect_event({ event, payload }) {
    for (;;) {
      const seen = await this.#of("event").next();
      if (seen.event === event) return assert.deepEqual(seen.payload, payload);
    }
  }

  async expect_heard({ by }) {
    const heard = [];
    while (heard.length < by.length) heard.push(await this.#of("heard").next());
    assert.deepEqual(heard, by);
  }

  async expect_roomLost({ room }) {
    assert.deepEqual(JSON.parse(JSON.stringify(await this.#of("roomLost").next())), room);
  }

  expect_traces({ ended }) {
    assert.deepEqual(this.traces.ended(), ended);
  }

  expect_notOpen() {
    assert.equal(this.client.emit("probe", 1), false);
  }
}

function byEvent(a, b) {
  return a.event < b.event ? -1 : 1;
}
