// The playground: one WebSocket to any ws-node, and buttons for every event of the demo profile.
"use strict";

const byId = (id) => document.getElementById(id);
const REPLY_TIMEOUT_MS = 5000;
const HEARTBEAT_MS = 10000;
const LOG_LINES = 200;

let socket = null;
let heartbeat = 0;
let counter = 0;
const waiting = new Map();
const game = { match: null, state: null };

// --- Connection

const scheme = location.protocol === "https:" ? "wss:" : "ws:";
const here = `${scheme}//${location.host}`;
const others = [9000, 9001].map((port) => `${scheme}//${location.hostname}:${port}`);
byId("url").value = here;
for (const url of new Set([here, ...others])) byId("urls").append(new Option(url));
byId("client").value = `player-${Math.floor(Math.random() * 10000)}`;

function connect() {
  disconnect();
  const url = new URL(byId("url").value);
  url.searchParams.set("id", byId("client").value);
  show("connecting…", "");
  const opened = new WebSocket(url);
  socket = opened;
  opened.onopen = () => {
    show(`connected to ${url.host} as ${byId("client").value}`, "on");
    heartbeat = setInterval(() => opened.send(""), HEARTBEAT_MS);
  };
  opened.onmessage = ({ data }) => { if (socket === opened) received(data); };
  opened.onclose = ({ code, reason }) => {
    if (socket !== opened) return;
    ended();
    show(`closed: ${code}${reason ? ` ${reason}` : ""}`, "off");
  };
}

function disconnect() {
  const open = socket;
  if (!open) return;
  ended();
  open.close(4001, "client closed by hand");
  show("not connected", "");
}

function ended() {
  clearInterval(heartbeat);
  socket = null;
  game.match = game.state = null;
  draw();
  for (const { reject } of waiting.values()) reject(new Error("connection closed"));
  waiting.clear();
}

function show(text, kind) {
  byId("status").textContent = text;
  byId("status").className = `status ${kind}`;
  const online = kind === "on";
  for (const button of document.querySelectorAll("[data-online]")) button.disabled = !online;
  byId("disconnect").disabled = !socket;
}

// --- Frames

function send(event, payload, callbackId) {
  if (socket?.readyState !== WebSocket.OPEN) return false;
  const frame = callbackId ? { event, payload, callbackId } : { event, payload };
  if (event !== "matchInput") log("out", JSON.stringify(frame));
  socket.send(JSON.stringify(frame));
  return true;
}

function request(event, payload = {}) {
  return new Promise((resolve, reject) => {
    const id = `p${++counter}`;
    const timer = setTimeout(() => { waiting.delete(id); reject(new Error("no reply in time")); }, REPLY_TIMEOUT_MS);
    waiting.set(id, {
      resolve: (value) => { clearTimeout(timer); resolve(value); },
      reject: (error) => { clearTimeout(timer); reject(error); },
    });
    if (!send(event, payload, id)) {
      waiting.get(id).reject(new Error("not connected"));
      waiting.delete(id);
    }
  });
}

function received(text) {
  if (text === "") return;
  let frame;
  try { frame = JSON.parse(text); } catch { return log("bad", text); }
  if (frame.event !== "matchState") log("in", text);
  if (frame.callbackId !== undefined) {
    const reply = waiting.get(frame.callbackId);
    waiting.delete(frame.callbackId);
    if (frame.payload?.errorCode) reply?.reject(new Error(`${frame.payload.errorCode}: ${frame.payload.error}`));
    else reply?.resolve(frame.payload);
  } else if (frame.event?.startsWith("match")) {
    played(frame.event, frame.payload);
  }
}

function log(kind, text) {
  const line = document.createElement("li");
  const time = document.createElement("time");
  time.textContent = new Date().toISOString().slice(11, 23);
  const body = document.createElement("span");
  body.className = kind;
  body.textContent = ` ${kind === "out" ? "→" : kind === "in" ? "←" : "!"} ${text}`;
  line.append(time, body);
  byId("log").prepend(line);
  while (byId("log").childElementCount > LOG_LINES) byId("log").lastElementChild.remove();
}

async function attempt(action) {
  try { return await action(); } catch (error) { log("bad", error.message); return undefined; }
}

// --- Messages and round trips

function command() {
  const action = byId("action").value;
  const address = byId("address").value.trim();
  const payload = { action, msg: byId("message").value };
  if (action === "toPlayer") payload.toPlayerId = address;
  if (action === "toPlayers") payload.toPlayerIds = address.split(",").map((id) => id.trim()).filter(Boolean);
  if (action === "toRoom") payload.roomId = address;
  return request("command", payload);
}

async function timed(event) {
  const start = performance.now();
  const reply = await attempt(() => request(event, { msg: "hello" }));
  if (reply !== undefined) byId("timing").textContent = `${event}: ${(performance.now() - start).toFixed(1)} ms`;
}

async function burst() {
  const times = [];
  for (let i = 0; i < 100; i++) {
    const start = performance.now();
    if (await attempt(() => request("gamePing")) === undefined) return;
    times.push(performance.now() - start);
  }
  times.sort((a, b) => a - b);
  const at = (share) => times[Math.min(times.length - 1, Math.floor(times.length * share))].toFixed(1);
  byId("timing").textContent = `gamePing × 100: median ${at(0.5)} ms, p99 ${at(0.99)} ms`;
}

// --- Game

function tell(text) { byId("game").textContent = text; }

function played(event, payload) {
  if (event === "matchFound") {
    game.match = payload.match ?? payload.matchId ?? null;
    tell("Match found: go!");
    byId("field").focus();
  } else if (event === "matchState") {
    game.match = payload.match;
    game.state = payload.state;
    const scores = payload.state.players.map((player) => `${player.id}: ${player.points}`).join(" · ");
    tell(`${scores} (first to ${payload.state.goal})`);
    draw();
  } else if (event === "matchEnd") {
    const winner = payload.result?.winner;
    tell(`The match is over (${payload.reason})${winner ? `: ${winner} won` : ""}.`);
    game.match = null;
  }
}

const pressed = new Set();
const KEYS = {
  ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1],
  a: [-1, 0], d: [1, 0], w: [0, -1], s: [0, 1],
};

function steer(x, y) {
  if (game.match) send("matchInput", { match: game.match, direction: { x, y } });
}

function steerByKeys(event, down) {
  if (!(event.key in KEYS) || !game.match || event.target.matches("input, select")) return;
  event.preventDefault();
  if (event.repeat) return;
  if (down) pressed.add(event.key); else pressed.delete(event.key);
  const sum = [...pressed].reduce(([x, y], key) => [x + KEYS[key][0], y + KEYS[key][1]], [0, 0]);
  steer(Math.sign(sum[0]), Math.sign(sum[1]));
}

let lastPointer = 0;
function steerByPointer(event) {
  const me = game.state?.players.find((player) => player.id === byId("client").value);
  if (!me || event.timeStamp - lastPointer < 50) return;
  lastPointer = event.timeStamp;
  const box = event.target.getBoundingClientRect();
  const x = (event.clientX - box.left) / box.width * game.state.field - me.x;
  const y = (event.clientY - box.top) / box.height * game.state.field - me.y;
  const length = Math.hypot(x, y);
  if (length < 15) steer(0, 0); else steer(x / length, y / length);
}

function draw() {
  const canvas = byId("field");
  const pen = canvas.getContext("2d");
  pen.clearRect(0, 0, canvas.width, canvas.height);
  if (!game.state) return;
  const scale = canvas.width / game.state.field;
  const dot = (x, y, radius, color) => {
    pen.fillStyle = color;
    pen.beginPath();
    pen.arc(x * scale, y * scale, radius, 0, 2 * Math.PI);
    pen.fill();
  };
  for (const target of game.state.targets) dot(target.x, target.y, 5, "#d9a200");
  for (const player of game.state.players) {
    dot(player.x, player.y, 9, player.id === byId("client").value ? "#2f81f7" : "#d1495b");
  }
}

// --- Wiring

const on = (id, event, handler) => byId(id).addEventListener(event, handler);
const submit = (id, action) => on(id, "submit", (event) => { event.preventDefault(); attempt(action); });
submit("connection", async () => connect());
submit("command", command);
submit("rooms", () => request("joinRoom", { roomId: byId("room").value }));
on("disconnect", "click", disconnect);
on("leave", "click", () => attempt(() => request("leaveRoom", { roomId: byId("room").value })));
on("burst", "click", burst);
for (const button of document.querySelectorAll("[data-request]")) {
  button.addEventListener("click", () => timed(button.dataset.request));
}
on("match", "click", () => attempt(async () => {
  tell("Waiting for another player…");
  try {
    await request("matchRequest", { mode: "duel", rating: 1000 });
  } catch (error) {
    tell(`No match: ${error.message}`);
    throw error;
  }
}));
on("cancel", "click", () => attempt(async () => { await request("matchCancel"); tell("Cancelled."); }));
on("quit", "click", () => attempt(() => request("matchLeave", { match: game.match })));
on("clear", "click", () => byId("log").replaceChildren());
on("action", "change", () => { byId("address-label").hidden = byId("action").value === "broadcast"; });
byId("address-label").hidden = true;
addEventListener("keydown", (event) => steerByKeys(event, true));
addEventListener("keyup", (event) => steerByKeys(event, false));
on("field", "pointermove", steerByPointer);
show("not connected", "");
connect();
