"use strict";
var __defProp = Object.defineProperty;
var __getOwnPropDesc = Object.getOwnPropertyDescriptor;
var __getOwnPropNames = Object.getOwnPropertyNames;
var __hasOwnProp = Object.prototype.hasOwnProperty;
var __export = (target, all) => {
  for (var name in all)
    __defProp(target, name, { get: all[name], enumerable: true });
};
var __copyProps = (to, from, except, desc) => {
  if (from && typeof from === "object" || typeof from === "function") {
    for (let key2 of __getOwnPropNames(from))
      if (!__hasOwnProp.call(to, key2) && key2 !== except)
        __defProp(to, key2, { get: () => from[key2], enumerable: !(desc = __getOwnPropDesc(from, key2)) || desc.enumerable });
  }
  return to;
};
var __toCommonJS = (mod) => __copyProps(__defProp({}, "__esModule", { value: true }), mod);

// src/index.ts
var index_exports = {};
__export(index_exports, {
  Connector: () => Connector,
  RequestError: () => RequestError,
  WebSocketConnector: () => WebSocketConnector,
  closeGroup: () => closeGroup,
  retryAfter: () => retryAfter
});
module.exports = __toCommonJS(index_exports);

// src/close-codes.ts
var MANUAL_CLOSE = 4001;
var PONG_TIMEOUT = 4002;
var AUTHENTICATION_FAILED = 4011;
var ABNORMAL = 1006;
var ABOUT_CLIENT = [AUTHENTICATION_FAILED, 4013, 4014, 4015];
var DELAY = [1012, 1013, 4013, 4015];
var STOP = [1e3, 1002, 1003, 1007, 1008, 1009, MANUAL_CLOSE, 4010, AUTHENTICATION_FAILED, 4012];
function closeGroup(code) {
  return STOP.includes(code) ? "stop" : DELAY.includes(code) ? "delay" : "now";
}
function retryAfter(reason) {
  const given = /^retry-after-ms=(\d+)$/.exec(reason);
  return given ? +given[1] : void 0;
}

// src/events.ts
var SYSTEM_EVENTS = [
  "open",
  "close",
  "error",
  "message",
  "ping",
  "pong",
  "pong-timeout",
  "reconnect",
  "repeat-limit",
  "state",
  "room-lost"
];

// src/frames.ts
function answerFrame(payload, requestId) {
  return JSON.stringify({ payload: payload ?? null, requestId });
}
function readFrame(text) {
  try {
    const frame = JSON.parse(text);
    for (const name of ["event", "callbackId", "requestId"]) {
      if (typeof frame[name] !== "string") delete frame[name];
    }
    return frame;
  } catch {
    return {};
  }
}
function refusal(payload) {
  const { error, errorCode } = payload ?? {};
  return typeof error === "string" && typeof errorCode === "string" ? { error, errorCode } : null;
}

// src/options.ts
var REQUEST_OPTIONS = ["callbackTimeout", "onPending", "pendingTimeout", "retry", "idempotencyKey"];
var DEFAULTS = {
  pingInterval: 1e4,
  pongTimeout: 2e3,
  pingMsg: "",
  autoReconnect: "always",
  fastReconnectThreshold: 3,
  fastReconnectInterval: 3e3,
  reconnectMaxInterval: 12e4,
  repeatLimit: null,
  connectTimeout: 1e4,
  tokenIn: "query",
  callbackTimeout: 5e3,
  pendingTimeout: 100,
  maxPending: 1024,
  offlineQueue: 0,
  maxBuffered: 1048576
};
var LONGEST = 2 ** 31 - 1;
var MAY_BE_ZERO = /^(ping|fast|off|rep)/;
var WAIT = /Rec.*val/i;
var LEAST_WAIT = 50;
var ADDRESS = /^wss?:\/\/[^/\s]\S*$/i;
var RULES = {
  customParams: "an object",
  WebSocket: "a function",
  token: "a function",
  traceparent: "a function",
  pingMsg: "a string",
  autoReconnect: "always|error|never",
  tokenIn: "query|message"
};
var NAMES = Object.keys({ url: 0, protocols: 0, ...RULES, ...DEFAULTS });
function settings(options, defaults, unknown) {
  const all = { ...DEFAULTS, ...defaults };
  for (const name in options) {
    all[name] = options[name] ?? all[name];
  }
  all.url = [].concat(all.url).map(String);
  if (!all.url[0] || !all.url.every((each) => ADDRESS.test(each))) {
    wrong("url", "an address that begins with ws:// or wss://");
  }
  known(options, NAMES, unknown);
  for (const [name, rule] of Object.entries(RULES)) {
    const value = all[name];
    const words = rule.split(/\W/);
    if (value !== void 0 && !words.includes(typeof value) && !words.includes(value)) wrong(name, rule);
  }
  for (const [name, fallback] of Object.entries(DEFAULTS)) {
    if (typeof fallback === "string" || fallback === all[name]) continue;
    duration(name, all[name], WAIT.test(name) ? LEAST_WAIT : +!MAY_BE_ZERO.test(name));
  }
  return all;
}
function known(options, names, unknown) {
  for (const name in options) {
    if (!names.includes(name)) unknown(`unknown option ${name}: use ${names.join(", ")}`);
  }
}
function wrong(name, text) {
  throw new TypeError(`${name} must be ${text}`);
}
function duration(name, value, least) {
  if (typeof value !== "number" || !(value >= least && value <= LONGEST)) {
    wrong(name, `a number from ${least} to ${LONGEST}, not ${typeof value} ${value}`);
  }
}

// src/backoff.ts
function waitBefore(repeat, retryAfter2, settings2) {
  const { fastReconnectInterval, fastReconnectThreshold, reconnectMaxInterval } = settings2;
  const random = Math.random();
  if (retryAfter2 > 0) {
    return Math.min(Math.round(Math.min(retryAfter2, reconnectMaxInterval) * (1 + random / 4)), LONGEST);
  }
  const doublings = Math.max(0, repeat - fastReconnectThreshold);
  return Math.floor(Math.min(fastReconnectInterval * 2 ** doublings, reconnectMaxInterval) * random);
}

// src/heartbeat.ts
var Heartbeat = class {
  #timer;
  #sentAt;
  #settings;
  #events;
  constructor(settings2, events) {
    this.#settings = settings2;
    this.#events = events;
  }
  /** Starts. The first ping comes after a random part of the interval, so that many clients do not send at the same time. */
  start() {
    this.#wait(this.#settings.pingInterval * Math.random());
  }
  /** Starts again with a whole interval, unless a pong is awaited: that pong decides first. */
  restart() {
    if (this.#sentAt === void 0) this.#wait(this.#settings.pingInterval);
  }
  stop() {
    clearTimeout(this.#timer);
    this.#sentAt = void 0;
  }
  /** The server sent the heartbeat's text. Without a ping before it, it is ignored. */
  answered() {
    if (this.#sentAt === void 0) return;
    const latency = Date.now() - this.#sentAt;
    this.#wait(Math.max(0, this.#settings.pingInterval - latency));
    this.#events.pong(latency);
  }
  #wait(ms) {
    this.stop();
    if (this.#settings.pingInterval) this.#timer = setTimeout(() => this.#beat(), ms);
  }
  #beat() {
    this.#sentAt = Date.now();
    this.#timer = setTimeout(() => this.#events.lost(), this.#settings.pongTimeout);
    this.#events.ping();
  }
};

// src/socket.ts
var OPEN = 1;
function constructorOf(given) {
  const found = given ?? globalThis.WebSocket;
  if (!found) {
    throw new Error("no global WebSocket: pass the option WebSocket (package ws)");
  }
  return found;
}
function abandon(socket, code, reason) {
  socket.onopen = socket.onmessage = socket.onerror = socket.onclose = () => {
  };
  if (socket.readyState <= OPEN) socket.close(code, reason);
}
function encode(text) {
  return encodeURIComponent(text).replace(/[!'()~]/g, escape).replace(/%20/g, "+");
}
function withParams(url, params) {
  let whole = url.split("#", 1)[0];
  for (const [key2, value] of Object.entries(params)) {
    if (value !== void 0) whole += `${whole.includes("?") ? "&" : "?"}${encode(key2)}=${encode(String(value))}`;
  }
  return whole;
}

// src/link.ts
var Link = class {
  state = "connecting";
  socket;
  #settings;
  #owner;
  #Socket;
  #heartbeat;
  /** Attempts since the last connection that lasted. */
  #repeat = 0;
  /** Incremented with each attempt, and with each decision that ends a running one. */
  #attempt = 0;
  #timer;
  #openedAt = 0;
  #failed = false;
  /** The index of the server of the connection, or of the next attempt. */
  #at = 0;
  /**
   * For each server when it may be tried again: the time of its last failure, plus the delay that it asked for. Zero: never
   * failed. So the smallest is the next server in turn, or of those that asked for delays the first to be available.
   */
  #notBefore = [];
  constructor(settings2, owner) {
    this.#settings = settings2;
    this.#owner = owner;
    this.#Socket = constructorOf(settings2.WebSocket);
    this.#heartbeat = new Heartbeat(settings2, {
      ping: () => {
        this.send(settings2.pingMsg);
        owner.fire("ping");
      },
      pong: (latency) => owner.fire("pong", latency),
      lost: () => this.#broke("pong-timeout", void 0, PONG_TIMEOUT, "pong timeout")
    });
  }
  get isOpen() {
    return this.state === "open" && this.socket?.readyState === OPEN;
  }
  /** The server of the connection, or of the next attempt. */
  get url() {
    return this.#settings.url[this.#at];
  }
  get reconnecting() {
    return this.state === "waiting" || this.state === "connecting" && this.#repeat > 0;
  }
  /** Connects now and resets the attempt count. */
  connect() {
    this.#repeat = 0;
    this.#notBefore = this.#settings.url.map(() => 0);
    this.#release();
    this.#dial();
  }
  /** Reconnects after the usual wait, unless that is running already. */
  reconnect(repeatReset) {
    if (repeatReset) this.#repeat = 0;
    if (this.state === "waiting") return;
    this.#release();
    this.#schedule();
  }
  close() {
    this.#release();
    this.#rest();
  }
  /** Sends the next heartbeat after a whole interval. */
  restart() {
    if (this.state === "open") this.#heartbeat.restart();
  }
  /** Whether too many bytes wait in the WebSocket to accept more frames. */
  get full() {
    return this.socket?.bufferedAmount > this.#settings.maxBuffered;
  }
  /** Sends a frame. Returns false if the WebSocket is not open. */
  send(text) {
    if (this.socket?.readyState !== OPEN) return false;
    this.socket.send(text);
    return true;
  }
  #dial() {
    const attempt = ++this.#attempt;
    const { connectTimeout, customParams, protocols, token, tokenIn } = this.#settings;
    this.#failed = false;
    this.#timer = setTimeout(() => {
      this.#broke("error", new Error(`no connection within ${connectTimeout} ms`));
    }, connectTimeout);
    const open = (value) => {
      if (attempt !== this.#attempt) return;
      const inQuery = value != null && tokenIn !== "message";
      const params = { ...customParams, ...inQuery && { token: value } };
      this.#attach(new this.#Socket(withParams(this.url, params), protocols), inQuery ? void 0 : value);
    };
    this.#become("connecting");
    Promise.resolve().then(token).then(open).catch((error) => {
      if (attempt === this.#attempt) this.#broke("error", error);
    });
  }
  #attach(socket, token) {
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
      if (!opened) return this.#broke("error", event);
      this.#failed = true;
      this.#owner.fire("error", event);
    };
    socket.onclose = ({ code, reason }) => this.#ended(code ?? ABNORMAL, reason ?? "");
  }
  #ready(event) {
    clearTimeout(this.#timer);
    this.#openedAt = Date.now();
    this.#heartbeat.start();
    const socket = this.socket;
    this.state = "open";
    this.#owner.opened();
    this.#owner.fire("state", "open");
    if (this.socket === socket) this.#owner.fire("open", event);
    if (this.socket === socket) this.#owner.flush();
  }
  /** The connection or the attempt failed without a close of the WebSocket: fire `event`, then handle the end. */
  #broke(event, error, code = ABNORMAL, reason = String(error?.message ?? "")) {
    const attempt = this.#attempt;
    this.#failed = true;
    this.#owner.fire(event, error);
    if (attempt === this.#attempt) this.#ended(code, reason);
  }
  /** The connection or the attempt ended: fire `close`, and decide what follows. */
  #ended(code, reason) {
    const stood = this.state === "open" ? Date.now() - this.#openedAt : 0;
    if (stood >= this.#settings.fastReconnectInterval) this.#repeat = 0;
    const failed = this.#failed;
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
    if (attempt !== this.#attempt) return;
    if (willReconnect) this.#schedule();
    else this.#rest();
  }
  /** Closes the socket and stops everything that runs for it. */
  #release(code = MANUAL_CLOSE, reason = "client manual close") {
    this.#attempt++;
    clearTimeout(this.#timer);
    this.#heartbeat.stop();
    const socket = this.socket;
    if (!socket) return;
    this.socket = void 0;
    abandon(socket, code, reason);
    this.#owner.disconnected();
  }
  #schedule() {
    const { repeatLimit } = this.#settings;
    if (repeatLimit !== null && this.#repeat >= repeatLimit) {
      this.#rest();
      this.#owner.fire("repeat-limit", repeatLimit);
      return;
    }
    const timeout = waitBefore(++this.#repeat, this.#notBefore[this.#at] - Date.now(), this.#settings);
    this.#timer = setTimeout(() => this.#dial(), timeout);
    this.#become("waiting");
    if (this.state === "waiting") this.#owner.fire("reconnect", { repeat: this.#repeat, timeout });
  }
  /** Closed for good. */
  #rest() {
    this.#owner.closed();
    this.#become("closed");
  }
  #become(state) {
    if (this.state === state) return;
    this.state = state;
    this.#owner.fire("state", state);
  }
  #received(data, socket) {
    this.#owner.fire("message", data);
    if (typeof data !== "string" || this.socket !== socket) return;
    if (data === this.#settings.pingMsg) this.#heartbeat.answered();
    else this.#owner.received(data, socket);
  }
};

// src/listeners.ts
var NAME = "a non-empty string";
function guarded(what, call) {
  try {
    return call();
  } catch (error) {
    console.error(`${what} failed:`, error);
  }
}
var Listeners = class {
  #entries = /* @__PURE__ */ new Map();
  /** Adds a listener. Returns a function that removes it. */
  add(event, listener, once, tag) {
    if (!event) wrong("event", NAME);
    if (typeof listener !== "function") wrong("listener", "a function");
    const entry = { listener, once, tag };
    this.#entries.set(event, [...this.#entries.get(event) ?? [], entry]);
    return () => this.#keep(event, (other) => other !== entry);
  }
  /** Removes the listeners of an event: this function, those with this tag, or all. */
  remove(event, listenerOrTag) {
    this.#keep(event, (entry) => listenerOrTag !== void 0 && (typeof listenerOrTag === "function" ? entry.listener : entry.tag) !== listenerOrTag);
  }
  /** Calls the listeners in order; those that are added meanwhile are not called. */
  fire(event, ...args) {
    for (const entry of this.#entries.get(event) ?? []) {
      if (entry.once) this.#keep(event, (other) => other !== entry);
      guarded(`a listener of ${String(event)}`, () => entry.listener(...args));
    }
  }
  #keep(event, keeps) {
    const kept = (this.#entries.get(event) ?? []).filter(keeps);
    if (kept.length) this.#entries.set(event, kept);
    else this.#entries.delete(event);
  }
};

// src/requests.ts
var RequestError = class extends Error {
  constructor({ error, errorCode }) {
    super(`${error} (${errorCode})`);
    Object.assign(this, { name: "RequestError", error, errorCode });
  }
};
var NOT_OPEN = { error: "WebSocket is not open", errorCode: "WS_NOT_OPEN" };
var DISCONNECTED = { error: "the connection broke before the reply came", errorCode: "WS_DISCONNECTED" };
var Requests = class {
  #waiting = /* @__PURE__ */ new Map();
  #last = 0;
  #settings;
  constructor(settings2) {
    this.#settings = settings2;
  }
  /** Whether the limit of waiting requests is reached. */
  get full() {
    return this.#waiting.size >= this.#settings.maxPending;
  }
  /**
   * Registers a request that is not sent yet; `frame` makes its text and begins its trace. Nothing, if its payload cannot be JSON. Throws when a time
   * limit is not valid.
   */
  add(frame, { onPending, retry, idempotencyKey, ...times }, done) {
    const random = Math.random().toString(36).slice(2, 6);
    const id = `${Date.now().toString(36)}-${random}-${(++this.#last).toString(36)}`;
    const callbackTimeout = times.callbackTimeout || this.#settings.callbackTimeout;
    const pendingTimeout = times.pendingTimeout || this.#settings.pendingTimeout;
    duration("callbackTimeout", callbackTimeout, 1);
    duration("pendingTimeout", pendingTimeout, 1);
    let text;
    let end;
    try {
      [text, end] = frame({
        callbackId: id,
        timeoutMs: callbackTimeout === 5e3 ? void 0 : callbackTimeout,
        idempotencyKey: idempotencyKey ?? (retry === true ? id : void 0)
      });
    } catch (error) {
      return void done({ error: `the payload cannot be JSON: ${error}`, errorCode: "BAD_PAYLOAD" }, null);
    }
    const slow = onPending && pendingTimeout < callbackTimeout && setTimeout(() => onPending(), pendingTimeout);
    const limit = setTimeout(() => {
      settle({ error: `no reply within ${callbackTimeout} ms`, errorCode: "CALLBACK_TIMEOUT" }, null);
    }, callbackTimeout);
    const settle = (error, payload) => {
      clearTimeout(limit);
      clearTimeout(slow);
      this.#waiting.delete(id);
      end((error ?? refusal(payload))?.errorCode);
      done(error, payload);
    };
    const waiting = { text, retry: !!retry, settle };
    this.#waiting.set(id, waiting);
    return waiting;
  }
  /** Sends the requests that are not sent yet. */
  flush(send) {
    for (const waiting of [...this.#waiting.values()]) {
      if (!waiting.sent && send(waiting.text)) waiting.sent = true;
    }
  }
  /** Ends the request that a reply answers. Ignores a reply that no request waits for. */
  replied(id, payload) {
    this.#waiting.get(id)?.settle(null, payload);
  }
  /** The connection broke: requests that may be repeated wait for the next one, the others fail at once. */
  disconnected() {
    for (const [id, waiting] of this.#waiting) {
      if (waiting.retry) waiting.sent &&= false;
      else this.#fail(id, waiting);
    }
  }
  /** Closed for good: every waiting request fails. */
  closed() {
    for (const [id, waiting] of this.#waiting) this.#fail(id, waiting);
  }
  /** Removes a request now. Its callback runs in a microtask, when the new state of the connection is known. */
  #fail(id, { settle, sent }) {
    this.#waiting.delete(id);
    void Promise.resolve().then(() => settle(sent == null ? NOT_OPEN : DISCONNECTED, null));
  }
};

// src/rooms.ts
var Rooms = class {
  #entries = /* @__PURE__ */ new Map();
  /** A request to join a room begins. */
  wanted(room) {
    const entry = this.#entries.get(key(room)) ?? { room, joined: false, pending: 0 };
    entry.pending++;
    this.#entries.set(key(room), entry);
    return entry;
  }
  /** A request to join it ended. A room that was never joined is forgotten with its last request. */
  answered(entry, joined) {
    entry.joined ||= joined;
    if (!--entry.pending && !entry.joined && this.has(entry)) this.left(entry.room);
  }
  /** Whether it was not left meanwhile. */
  has(entry) {
    return this.#entries.get(key(entry.room)) === entry;
  }
  left(room) {
    this.#entries.delete(key(room));
  }
  clear() {
    this.#entries.clear();
  }
  /** The rooms to join again. */
  joined() {
    return [...this.#entries.values()].filter(({ joined }) => joined);
  }
};
function key({ roomId, namespace }) {
  return JSON.stringify([String(roomId), namespace]);
}

// src/connector.ts
var ANY = /* @__PURE__ */ Symbol();
var STATE = /* @__PURE__ */ Symbol();
var PASSING = /^(WS_.*|.*TIMEOUT|UNAVAILABLE|OVERLOADED|RATE_LIMITED)$/;
var Connector = class {
  settings;
  #listeners = new Listeners();
  #handlers = /* @__PURE__ */ new Map();
  #requests;
  #rooms = new Rooms();
  #queue = [];
  #link;
  /** Connects at once. Throws when an option is not valid. */
  constructor(options) {
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
      }
    });
    this.#link.connect();
  }
  // ------------------------------------------------------------------------------------------------------- listening
  /** Calls `listener` with the payload of each event of this name. Returns a function that removes it. */
  on(event, listener, tag) {
    return this.#listeners.add(event, listener, false, tag);
  }
  /** Like `on`, for the next event only. */
  once(event, listener, tag) {
    return this.#listeners.add(event, listener, true, tag);
  }
  /** Removes the listeners of an event: this function, those with this tag, or all. */
  off(event, listenerOrTag) {
    this.#listeners.remove(event, listenerOrTag);
  }
  /** Calls `listener` with the name and payload of every event that the server pushes. */
  onAny(listener) {
    return this.#listeners.add(ANY, listener, false);
  }
  /**
   * Answers the server's requests of this name with what `handler` returns; it may be async. What it throws is sent to the
   * server as `{error, errorCode}`. There is one handler per name. Returns a function that removes it.
   */
  onRequest(event, handler) {
    this.#handlers.set(event, handler);
    return () => {
      if (this.#handlers.get(event) === handler) this.#handlers.delete(event);
    };
  }
  emit(event, payload, callback, options) {
    if (!event) wrong("event", NAME);
    if (callback && typeof callback !== "function") wrong("callback", "a function");
    if (callback) return this.#ask(event, payload, options, callback, this.refused);
    known(options, REQUEST_OPTIONS, this.unknownOption);
    const [text, end] = this.#frame(event, payload);
    const isOpen = this.isOpen;
    const taken = isOpen ? !this.#link.full && this.#link.send(text) : this.state !== "closed" && this.#queue.length < this.settings.offlineQueue && !!this.#queue.push(text);
    end(taken ? void 0 : isOpen ? "WS_FULL" : "WS_NOT_OPEN");
    return taken;
  }
  emitWithPromise(event, payload, options) {
    return new Promise((resolve) => {
      const done = (error, data) => resolve(error ? { success: false, ...error } : { success: true, data });
      this.#ask(event, payload, options, done, this.refused);
    });
  }
  request(event, payload, options) {
    return new Promise((resolve, reject) => {
      this.#ask(event, payload, options, (error, data) => error ? reject(new RequestError(error)) : resolve(data));
    });
  }
  /** Joins a room, and again after each reconnect until `leaveRoom`. Waits for a connection if there is none. */
  joinRoom(roomId, namespace) {
    const entry = this.#rooms.wanted({ roomId, namespace });
    const reply = this.#plainly("joinRoom", entry.room);
    reply.then(() => this.#rooms.answered(entry, true), () => this.#rooms.answered(entry, false));
    return reply;
  }
  /** Leaves a room. It is not joined again, whatever the server replies. */
  leaveRoom(roomId, namespace) {
    const room = { roomId, namespace };
    this.#rooms.left(room);
    return this.#plainly("leaveRoom", room);
  }
  // -------------------------------------------------------------------------------------------------- the connection
  /** The state of the connection. The event `state` reports each change. */
  get state() {
    return this.#link.state;
  }
  /** Whether events and requests can be sent now. */
  get isOpen() {
    return this.#link.isOpen;
  }
  /** The server of the connection or of the next attempt: an entry of the option `url`, as it was given. */
  get url() {
    return this.#link.url;
  }
  /** Resolves when the connection is open, at once if it is; rejects when it is closed for good. */
  opened() {
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
  reconnecting() {
    return this.#link.reconnecting;
  }
  /** Ends the connection if there is one and reconnects after the usual wait. `true` resets the attempt count. */
  reconnect(repeatReset = false) {
    this.#link.reconnect(repeatReset);
  }
  /** Reconnects now, also after a close for good, and resets the attempt count. */
  connect() {
    this.#link.connect();
  }
  /** Closes with code 4001, for good. Waiting requests fail; rooms and queued events are forgotten. */
  manualClose() {
    this.#rooms.clear();
    this.#link.close();
  }
  /** The time from one heartbeat to the next, in ms. */
  getPingInterval() {
    return this.settings.pingInterval;
  }
  /** Changes the interval from the next heartbeat on, or with `true` from now. Zero stops heartbeats. */
  setPingInterval(ms, immediate = false) {
    duration("pingInterval", ms, 0);
    const counts = immediate || !ms || !this.settings.pingInterval;
    this.settings.pingInterval = ms;
    if (counts) this.#link.restart();
  }
  // ---------------------------------------------------------------------------- what WebSocketConnector changes
  defaults() {
    return {};
  }
  /** Called for each option that does not exist. */
  unknownOption(text) {
    throw new TypeError(text);
  }
  /** Whether a push of this name reaches the listeners of that name. */
  mayBePushed(event) {
    return !SYSTEM_EVENTS.includes(event);
  }
  /** The error in a reply to `emit` or `emitWithPromise`, if it is one. */
  refused(payload) {
    return refusal(payload);
  }
  /** Whether waiting requests fail when their connection is lost, not at their time limit. */
  failsAtOnce() {
    return true;
  }
  /** Whether to reconnect automatically, if the close code allows it. */
  comesBack(code, failed) {
    const { autoReconnect } = this.settings;
    return autoReconnect === "always" || autoReconnect === "error" && (failed || code === ABNORMAL);
  }
  /** Whether to fire `close`. If `failed`, `error` was fired before. */
  tellsClose(_closed, _failed) {
    return true;
  }
  // ----------------------------------------------------------------------------------------------------------- frames
  #frame(event, payload, fields) {
    let trace;
    const text = JSON.stringify({
      event,
      payload: payload ?? null,
      ...fields,
      // Called last, so that a payload that cannot be JSON begins no trace. What is no trace context is left out.
      traceparent: {
        toJSON: () => guarded("traceparent", () => {
          trace = this.settings.traceparent?.(event);
          return /^[\da-f-]{55}$/.exec(trace?.traceparent ?? trace)?.[0];
        })
      }
    });
    return [text, (error) => guarded("traceparent", () => trace?.end?.(error))];
  }
  /** Sends what waited for a connection. */
  #flush() {
    this.#requests.flush((text) => this.#link.send(text));
    while (this.#queue.length && this.#link.send(this.#queue[0])) this.#queue.shift();
  }
  /** Joins a room again on this connection, until the server agrees or refuses for good. */
  #rejoin(entry, socket = this.#link.socket) {
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
  #plainly(event, payload) {
    return this.request(event, payload, { retry: 1 });
  }
  /** Sends a request if there is a connection, or waits for one if the request may be repeated. */
  #ask(event, payload, options, done, refused) {
    const isOpen = this.isOpen;
    known(options, REQUEST_OPTIONS, this.unknownOption);
    const refuse = (error) => {
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
  #submit(event, payload, options, now, done, refused = refusal) {
    const frame = (fields) => this.#frame(event, payload, fields);
    const waiting = this.#requests.add(frame, options, (error, reply) => {
      const wrong2 = error ?? refused(reply);
      done(wrong2, wrong2 ? null : reply);
    });
    if (waiting && now) waiting.sent = this.#link.send(waiting.text);
    return !!waiting;
  }
  #received(text, socket) {
    const { callbackId, event, payload, requestId } = readFrame(text);
    if (callbackId) this.#requests.replied(callbackId, payload);
    else if (event && requestId) this.#answer(event, payload, requestId, socket);
    else if (event) {
      if (this.mayBePushed(event)) this.#listeners.fire(event, payload);
      this.#listeners.fire(ANY, event, payload);
    }
  }
  #answer(event, payload, requestId, socket) {
    const nobody = () => {
      throw { error: "this client does not answer it", errorCode: "UNKNOWN_EVENT" };
    };
    Promise.resolve(payload).then(this.#handlers.get(event) ?? nobody).then((answer) => answerFrame(answer, requestId)).catch((error) => {
      const text = String(error?.error ?? error?.message ?? error);
      return answerFrame({ error: text, errorCode: String(error?.errorCode ?? "INTERNAL") }, requestId);
    }).then((text) => {
      if (this.#link.socket === socket) this.#link.send(text);
    });
  }
};

// src/websocket-connector.ts
var NO_DATA = "data cannot be null or undefined";
var WebSocketConnector = class extends Connector {
  #final = false;
  emit(event, data, callback, options) {
    if (data == null) throw new Error(NO_DATA);
    return super.emit(event, data, typeof callback === "function" ? callback : void 0, options);
  }
  emitWithPromise(event, data, options) {
    if (data != null) return super.emitWithPromise(event, data, options);
    return Promise.resolve({ success: false, error: NO_DATA, errorCode: "BAD_PAYLOAD" });
  }
  reconnect(repeatReset = false) {
    if (!this.#final) super.reconnect(repeatReset);
  }
  manualClose() {
    this.#final = true;
    super.manualClose();
  }
  setPingInterval(ms, immediate = false) {
    duration("pingInterval", ms, 1);
    super.setPingInterval(ms, immediate);
  }
  defaults() {
    return { autoReconnect: "error" };
  }
  /** Unknown options were always accepted here. */
  unknownOption(text) {
    console.warn(text);
  }
  mayBePushed() {
    return true;
  }
  refused() {
    return null;
  }
  failsAtOnce() {
    return false;
  }
  comesBack(code, failed) {
    if (this.settings.autoReconnect !== "error") return super.comesBack(code, failed);
    return failed && code !== PONG_TIMEOUT;
  }
  tellsClose({ willReconnect }, failed) {
    return !(failed && willReconnect);
  }
};
