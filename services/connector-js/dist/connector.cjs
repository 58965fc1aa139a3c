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
  return given ? Number(given[1]) : void 0;
}

// src/events.ts
var SYSTEM_EVENTS = /* @__PURE__ */ new Set([
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
]);

// src/frames.ts
function eventFrame(event, payload, callbackId, traceparent) {
  return JSON.stringify({ event, payload: payload ?? null, callbackId, traceparent });
}
function answerFrame(payload, requestId) {
  return JSON.stringify({ payload: payload ?? null, requestId });
}
function readFrame(text) {
  let frame;
  try {
    frame = JSON.parse(text);
  } catch {
    return void 0;
  }
  if (!frame || typeof frame !== "object") return void 0;
  const textOf = (value) => typeof value === "string" && value ? value : void 0;
  return {
    event: textOf(frame.event),
    payload: frame.payload,
    callbackId: textOf(frame.callbackId),
    requestId: textOf(frame.requestId)
  };
}
function refusal(payload) {
  const { error, errorCode } = payload ?? {};
  return typeof error === "string" && typeof errorCode === "string" ? { error, errorCode } : null;
}

// src/options.ts
var REQUEST_OPTIONS = ["callbackTimeout", "onPending", "pendingTimeout", "retry"];
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
function settings(options, defaults, odd) {
  const all = { ...DEFAULTS, ...defaults };
  for (const name in options) {
    all[name] = options[name] ?? all[name];
  }
  all.url = [].concat(all.url).map(String);
  if (!all.url[0] || !all.url.every((each) => ADDRESS.test(each))) {
    wrong("url", 'as in new Connector({ url: "wss://example.org/chat" })');
  }
  known(options, NAMES, odd);
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
function known(options, names, odd) {
  for (const name in options) {
    if (!names.includes(name)) odd(`${name} is no option: there are ${names.join(", ")}`);
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
var Backoff = class {
  /** Attempts since the last connection that stood. */
  repeat = 0;
  #settings;
  constructor(settings2) {
    this.#settings = settings2;
  }
  /**
   * The wait before the next attempt in ms; undefined when the limit is reached. What is left of a delay that the server
   * gave is the least; up to a quarter of it comes on top, because a server may give many clients the same.
   */
  next(retryAfter2) {
    const { repeatLimit, fastReconnectInterval, fastReconnectThreshold, reconnectMaxInterval } = this.#settings;
    if (repeatLimit !== null && this.repeat >= repeatLimit) return void 0;
    this.repeat += 1;
    const random = Math.random();
    if (retryAfter2 > 0) {
      return Math.min(Math.round(Math.min(retryAfter2, reconnectMaxInterval) * (1 + random / 4)), LONGEST);
    }
    const doublings = Math.max(0, this.repeat - fastReconnectThreshold);
    return Math.floor(Math.min(fastReconnectInterval * 2 ** doublings, reconnectMaxInterval) * random);
  }
};

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
  /** Begins; the first ping comes after a random part of the interval, so that many clients do not beat together. */
  start() {
    this.#wait(this.#settings.pingInterval * Math.random());
  }
  /** Begins anew with a whole interval, unless a pong is awaited: that one decides first. */
  restart() {
    if (this.#sentAt === void 0) this.#wait(this.#settings.pingInterval);
  }
  stop() {
    clearTimeout(this.#timer);
    this.#sentAt = void 0;
  }
  /** The server sent the heartbeat's text. An answer to nothing does not count. */
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
    throw new Error("no global WebSocket (Node.js before 22): pass the option WebSocket, say of the package ws");
  }
  return found;
}
function abandon(socket, code, reason) {
  socket.onopen = socket.onmessage = socket.onerror = socket.onclose = () => {
  };
  if (socket.readyState <= OPEN) socket.close(code, reason);
}
function encode(text) {
  const percent = (char) => "%" + char.charCodeAt(0).toString(16).toUpperCase();
  return encodeURIComponent(text).replace(/[!'()~]/g, percent).replace(/%20/g, "+");
}
function withParams(url, params) {
  const query = Object.entries(params).filter(([, value]) => value !== void 0).map(([key2, value]) => `${encode(key2)}=${encode(String(value))}`).join("&");
  const base = url.split("#", 1)[0];
  return query ? base + (base.includes("?") ? "&" : "?") + query : base;
}

// src/link.ts
var BY_HAND = "client manual close";
var Link = class {
  state = "connecting";
  socket;
  #settings;
  #owner;
  #Socket;
  #backoff;
  #heartbeat;
  /** One more for each attempt, and for each decision that makes a running one pointless. */
  #attempt = 0;
  #timer;
  #openedAt = 0;
  #failed = false;
  /** The place of the server of now, or of the next attempt. */
  #at = 0;
  /**
   * For each server when it may be tried again: after a failure the time of that, or what it asked for. Zero: untried. So
   * the least is the next in turn that asked for no delay, or of those that did the first to be back.
   */
  #notBefore = [];
  constructor(settings2, owner) {
    this.#settings = settings2;
    this.#owner = owner;
    this.#Socket = constructorOf(settings2.WebSocket);
    this.#backoff = new Backoff(settings2);
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
  /** Of the connection, or of the next attempt. */
  get url() {
    return this.#settings.url[this.#at];
  }
  get reconnecting() {
    return this.state === "waiting" || this.state === "connecting" && this.#backoff.repeat > 0;
  }
  /** Connects now and counts attempts from zero. */
  connect() {
    this.#backoff.repeat = 0;
    this.#notBefore = this.#settings.url.map(() => 0);
    this.#release(MANUAL_CLOSE, BY_HAND);
    this.#dial();
  }
  /** Connects again after the wait that is due, unless that runs already. */
  reconnect(repeatReset) {
    if (repeatReset) this.#backoff.repeat = 0;
    if (this.state === "waiting") return;
    this.#release(MANUAL_CLOSE, BY_HAND);
    this.#schedule();
  }
  close() {
    this.#release(MANUAL_CLOSE, BY_HAND);
    this.#rest();
  }
  /** The next heartbeat comes after a whole interval. */
  restart() {
    if (this.state === "open") this.#heartbeat.restart();
  }
  /** Whether too much waits in the WebSocket for more of the application's frames. */
  get full() {
    return (this.socket?.bufferedAmount ?? 0) > this.#settings.maxBuffered;
  }
  /** Writes; false without an open WebSocket. */
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
    new Promise((done) => done(token ? Promise.resolve().then(token).then(open) : open(null))).catch((error) => {
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
  /** The connection or the attempt failed without a close of the WebSocket: tell `event`, then that it is over. */
  #broke(event, error, code = ABNORMAL, reason = String(error?.message ?? "")) {
    const attempt = this.#attempt;
    this.#failed = true;
    this.#owner.fire(event, error);
    if (attempt === this.#attempt) this.#ended(code, reason);
  }
  /** The connection or the attempt is over: tell, and decide what follows. */
  #ended(code, reason) {
    const stood = this.state === "open" ? Date.now() - this.#openedAt : 0;
    if (stood >= this.#settings.fastReconnectInterval) this.#backoff.repeat = 0;
    const failed = this.#failed;
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
    if (attempt !== this.#attempt) return;
    if (willReconnect) this.#schedule();
    else this.#rest();
  }
  /** Lets go of the socket and of everything that runs for it. */
  #release(code, reason) {
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
    const timeout = this.#backoff.next(this.#notBefore[this.#at] - Date.now());
    if (timeout === void 0) {
      this.#rest();
      this.#owner.fire("repeat-limit", this.#settings.repeatLimit);
      return;
    }
    this.#timer = setTimeout(() => this.#dial(), timeout);
    this.#become("waiting");
    if (this.state === "waiting") this.#owner.fire("reconnect", { repeat: this.#backoff.repeat, timeout });
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
var Listeners = class {
  #entries = /* @__PURE__ */ new Map();
  /** Adds a listener; the function given back removes it. */
  add(event, listener, once, tag) {
    if (!event) throw new TypeError("event must be a non-empty string");
    if (typeof listener !== "function") throw new TypeError("listener must be a function");
    const entry = { listener, once, tag };
    this.#entries.set(event, [...this.#entries.get(event) ?? [], entry]);
    return () => this.#keep(event, (other) => other !== entry);
  }
  /** Removes by function, by tag, or all of this event. */
  remove(event, listenerOrTag) {
    this.#keep(event, (entry) => listenerOrTag !== void 0 && (typeof listenerOrTag === "function" ? entry.listener : entry.tag) !== listenerOrTag);
  }
  /** Calls everyone who listened when it began, in order. */
  fire(event, ...args) {
    for (const entry of this.#entries.get(event) ?? []) {
      if (entry.once) this.#keep(event, (other) => other !== entry);
      try {
        entry.listener(...args);
      } catch (error) {
        console.error(`a listener of ${String(event)} failed:`, error);
      }
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
  error;
  errorCode;
  constructor({ error, errorCode }) {
    super(`${error} (${errorCode})`);
    this.name = "RequestError";
    this.error = error;
    this.errorCode = errorCode;
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
  /** Whether as many wait as may. */
  get full() {
    return this.#waiting.size >= this.#settings.maxPending;
  }
  /** An id that no other client has: replies may be addressed to the client by whoever answers. */
  newId() {
    this.#last += 1;
    const random = Math.random().toString(36).slice(2, 6);
    return `${Date.now().toString(36)}-${random}-${this.#last.toString(36)}`;
  }
  /** Notes a request whose frame is `text`, not sent yet. Throws when a time is none. */
  add(id, text, { onPending, retry, ...times }, done) {
    const callbackTimeout = times.callbackTimeout || this.#settings.callbackTimeout;
    const pendingTimeout = times.pendingTimeout || this.#settings.pendingTimeout;
    duration("callbackTimeout", callbackTimeout, 1);
    duration("pendingTimeout", pendingTimeout, 1);
    const slow = onPending && pendingTimeout < callbackTimeout ? setTimeout(() => onPending(), pendingTimeout) : void 0;
    const limit = setTimeout(() => {
      this.#waiting.get(id)?.end({ error: `no reply within ${callbackTimeout} ms`, errorCode: "CALLBACK_TIMEOUT" }, null);
    }, callbackTimeout);
    const end = (error, payload) => {
      clearTimeout(limit);
      clearTimeout(slow);
      this.#waiting.delete(id);
      done(error, payload);
    };
    const waiting = { text, retry: !!retry, end };
    this.#waiting.set(id, waiting);
    return waiting;
  }
  /** Hands what is not sent yet to `send`. */
  flush(send) {
    for (const waiting of [...this.#waiting.values()]) {
      if (!waiting.sent && send(waiting.text)) waiting.sent = true;
    }
  }
  /** A reply came; nothing happens when nobody waits for it (any more). */
  replied(id, payload) {
    this.#waiting.get(id)?.end(null, payload);
  }
  /** The connection broke: those that may be repeated wait for the next one, the others fail at once. */
  disconnected() {
    for (const [id, waiting] of this.#waiting) {
      if (waiting.retry) waiting.sent &&= false;
      else this.#fail(id, waiting, DISCONNECTED);
    }
  }
  /** There will be no next connection. */
  closed() {
    for (const [id, waiting] of this.#waiting) this.#fail(id, waiting, waiting.sent == null ? NOT_OPEN : DISCONNECTED);
  }
  /** Not waiting any more from now on; told in a moment, when it is decided what becomes of the connection. */
  #fail(id, { end }, error) {
    this.#waiting.delete(id);
    void Promise.resolve().then(() => end(error, null));
  }
};

// src/rooms.ts
var Rooms = class {
  #entries = /* @__PURE__ */ new Map();
  /** It is being asked for. */
  wanted(room) {
    const entry = this.#entries.get(key(room)) ?? { room, joined: false, asking: 0 };
    entry.asking++;
    this.#entries.set(key(room), entry);
    return entry;
  }
  /** What the server said to one who asked: a room is forgotten when it was never joined and nobody asks any more. */
  answered(entry, joined) {
    entry.joined ||= joined;
    if (!--entry.asking && !entry.joined && this.has(entry)) this.left(entry.room);
  }
  /** Whether it was not left since it was wanted. */
  has(entry) {
    return this.#entries.get(key(entry.room)) === entry;
  }
  left(room) {
    this.#entries.delete(key(room));
  }
  clear() {
    this.#entries.clear();
  }
  /** Those to ask for again. */
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
  /** Connects at once. Throws when an option cannot work. */
  constructor(options) {
    this.settings = settings(options, this.defaults(), this.odd);
    const requests = new Requests(this.settings);
    this.#requests = requests;
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
        if (this.failsAtOnce()) requests.disconnected();
      },
      closed: () => {
        this.#queue.length = 0;
        if (this.failsAtOnce()) requests.closed();
      }
    });
    this.#link.connect();
  }
  // ------------------------------------------------------------------------------------------------------- listening
  /** Calls `listener` with the payload of each such event; the function given back stops that. */
  on(event, listener, tag) {
    return this.#listeners.add(event, listener, false, tag);
  }
  /** As `on`, for the next one only. */
  once(event, listener, tag) {
    return this.#listeners.add(event, listener, true, tag);
  }
  /** Removes the listeners of an event: this function, those with this tag, or all. */
  off(event, listenerOrTag) {
    this.#listeners.remove(event, listenerOrTag);
  }
  /** Calls `listener` with name and payload of everything that the server pushes. */
  onAny(listener) {
    return this.#listeners.add(ANY, listener, false);
  }
  /**
   * Answers the server's requests of this name with what `handler` gives back, also later. What it throws is told to the
   * server as `{error, errorCode}`. One handler per name; the function given back removes it.
   */
  onRequest(event, handler) {
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
  emit(event, ...[payload, callback, options]) {
    if (!event) throw new TypeError("event must be a non-empty string");
    if (callback && typeof callback !== "function") throw new TypeError("callback must be a function");
    if (callback) return this.#ask(event, payload, options, callback, this.refused);
    const text = this.#frame(event, payload);
    if (this.isOpen) return !this.#link.full && this.#link.send(text);
    const keeps = this.state !== "closed" && this.#queue.length < this.settings.offlineQueue;
    if (keeps) this.#queue.push(text);
    return keeps;
  }
  /** Asks the server. Resolves always: `{success: true, data}` or `{success: false, error, errorCode}`. */
  emitWithPromise(event, ...[payload, options]) {
    return new Promise((resolve) => {
      const done = (error, data) => resolve(error ? { success: false, ...error } : { success: true, data });
      this.#ask(event, payload, options, done, this.refused);
    });
  }
  /** Asks the server. Resolves to the reply's payload, rejects with a `RequestError`. */
  request(event, ...[payload, options]) {
    return new Promise((resolve, reject) => {
      this.#ask(event, payload, options, (error, data) => {
        if (error) reject(new RequestError(error));
        else resolve(data);
      });
    });
  }
  /** Joins a room, and joins it again after each reconnect until `leaveRoom`. Waits for a connection if there is none. */
  joinRoom(roomId, namespace) {
    const entry = this.#rooms.wanted({ roomId, namespace });
    const reply = this.#plainly("joinRoom", entry.room);
    reply.then(() => this.#rooms.answered(entry, true), () => this.#rooms.answered(entry, false));
    return reply;
  }
  /** Leaves a room; it is not joined again, whatever the server replies. */
  leaveRoom(roomId, namespace) {
    const room = { roomId, namespace };
    this.#rooms.left(room);
    return this.#plainly("leaveRoom", room);
  }
  // -------------------------------------------------------------------------------------------------- the connection
  /** Where the connection is now; the event `state` tells each change. */
  get state() {
    return this.#link.state;
  }
  /** Whether events and requests can be sent now. */
  get isOpen() {
    return this.#link.isOpen;
  }
  /** The server of the connection or of the next attempt: one of the option `url`, as it was given. */
  get url() {
    return this.#link.url;
  }
  /** Resolves when the connection stands, at once if it does; rejects when it is closed for good. */
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
  /** Whether a connection that was lost is being brought back. */
  reconnecting() {
    return this.#link.reconnecting;
  }
  /** Ends the connection if there is one, and connects again after the wait that is due. With `true` counting from zero. */
  reconnect(repeatReset = false) {
    this.#link.reconnect(repeatReset);
  }
  /** Connects anew now, also after a close for good, and counts attempts from zero. */
  connect() {
    this.#link.connect();
  }
  /** Closes with code 4001, for good; requests that wait fail, rooms and kept events are forgotten. */
  manualClose() {
    this.#rooms.clear();
    this.#link.close();
  }
  /** The time from one heartbeat to the next, in ms. */
  getPingInterval() {
    return this.settings.pingInterval;
  }
  /** Changes it: from the next heartbeat on, or with `true` counted from now. Zero stops heartbeats. */
  setPingInterval(ms, immediate = false) {
    duration("pingInterval", ms, 0);
    const counts = immediate || !ms || !this.settings.pingInterval;
    this.settings.pingInterval = ms;
    if (counts) this.#link.restart();
  }
  // ---------------------------------------------------------------------------- what the original does in another way
  defaults() {
    return {};
  }
  /** Hears of options that there are not. */
  odd(text) {
    throw new TypeError(text);
  }
  /** Whether a push of this name reaches the listeners of that name. */
  mayBePushed(event) {
    return !SYSTEM_EVENTS.has(event);
  }
  /** What an error reply to `emit` and `emitWithPromise` says. */
  refused(payload) {
    return refusal(payload);
  }
  /** Whether requests that wait fail when their connection is gone, not at their time limit. */
  failsAtOnce() {
    return true;
  }
  /** Whether it connects again by itself, the close code aside. */
  comesBack(code, failed) {
    const { autoReconnect } = this.settings;
    return autoReconnect === "always" || autoReconnect === "error" && (failed || code === ABNORMAL);
  }
  /** Whether the event `close` is told; `error` was before if `failed`. */
  tellsClose(_closed, _failed) {
    return true;
  }
  // ----------------------------------------------------------------------------------------------------------- frames
  #frame(event, payload, id) {
    return eventFrame(event, payload, id, this.settings.traceparent?.());
  }
  /** What waited for a connection. */
  #flush() {
    this.#requests.flush((text) => this.#link.send(text));
    while (this.#queue.length && this.#link.send(this.#queue[0])) this.#queue.shift();
  }
  /** Asks for a room again, on this connection until the server says yes or a lasting no. */
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
  #plainly(event, payload) {
    return this.request(event, payload, { retry: true });
  }
  /** Asks when there is a connection, or waits for one if the request may be repeated. */
  #ask(event, payload, options, done, refused) {
    const { isOpen } = this;
    known(options, REQUEST_OPTIONS, this.odd);
    if (!isOpen && !(options?.retry && this.state !== "closed")) return refuse(done);
    if (!event) return refuse(done, "event must be a non-empty string", "BAD_PAYLOAD");
    if (this.#requests.full) return refuse(done, "too many requests wait", "TOO_MANY_PENDING");
    if (this.#link.full) return refuse(done, "too much waits to be sent", "WS_FULL");
    return this.#submit(event, payload, options ?? {}, isOpen, done, refused);
  }
  /** Notes a request, and sends it now or leaves that to the next connection. */
  #submit(event, payload, options, now, done, refused = refusal) {
    const id = this.#requests.newId();
    let text;
    try {
      text = this.#frame(event, payload, id);
    } catch (error) {
      return refuse(done, `the payload cannot be JSON: ${error}`, "BAD_PAYLOAD");
    }
    const waiting = this.#requests.add(id, text, options, (error, reply) => {
      const wrong2 = error ?? refused(reply);
      done(wrong2, wrong2 ? null : reply);
    });
    if (now) waiting.sent = this.#link.send(text);
    return true;
  }
  #received(text, socket) {
    const frame = readFrame(text);
    if (!frame) return;
    const { event, payload, callbackId, requestId } = frame;
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
function refuse(done, error = NOT_OPEN.error, errorCode = NOT_OPEN.errorCode) {
  done({ error, errorCode }, null);
  return false;
}

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
  /** The original takes any option. */
  odd(text) {
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
