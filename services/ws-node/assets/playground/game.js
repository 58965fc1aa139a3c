// The demo game: finds a match, sends the direction of the player, draws the states that game-logic sends.
import { byId, colour, make, penOf } from "./dom.js";
import { labels } from "./labels.js";

const KEYS = {
  ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1],
  a: [-1, 0], d: [1, 0], w: [0, -1], s: [0, 1],
};
/** Shortest time between two messages of a moving pointer. */
const POINTER_EVERY_MS = 50;
/** If the pointer is nearer than this, in units of the field, the player stands still. */
const NEAR = 20;
/** The part of the picture that is left free on each side of the field, so that runners at its edge are fully visible. */
const MARGIN = 0.03;
/** Of the font below, with some space around. */
const NAME_HEIGHT = 15;
const REASONS = {
  timeLimit: "time is up", playersLeft: "the others left", serverRestart: "its server was stopped", serverLost: "its server was lost",
  withdrawn: "it was called off", internalError: "the game failed",
};

export class Game {
  #connection;
  #match = null;
  #searching = false;
  /** The last two states and when the newer one came: positions are drawn between them. */
  #before = null;
  #state = null;
  #stateAt = 0;
  #between = 50;
  #pressed = new Set();
  #direction = { x: 0, y: 0 };
  #pointedAt = 0;
  #drawRequested = false;
  /** The side of its runner that each name is on, see labels.js. */
  #sides = new Map();

  constructor(connection) {
    this.#connection = connection;
    connection.onClient((client) => this.#listen(client));
    connection.onChange((open) => {
      if (!open) this.#lost();
    });
    byId("match").addEventListener("click", () => this.#look());
    byId("cancel").addEventListener("click", () => this.#cancel());
    byId("quit").addEventListener("click", () => this.#quit());
    const field = byId("field");
    field.addEventListener("keydown", (event) => this.#key(event, true));
    field.addEventListener("keyup", (event) => this.#key(event, false));
    field.addEventListener("blur", () => {
      if (this.#pressed.size) this.#steer(0, 0);
      this.#pressed.clear();
    });
    field.addEventListener("pointerdown", (event) => this.#point(event));
    field.addEventListener("pointermove", (event) => this.#point(event));
    new ResizeObserver(() => this.#draw()).observe(field);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#draw());
    this.#buttons();
  }

  #listen(client) {
    client.on("matchFound", (payload) => this.#found(payload));
    client.on("matchState", (payload) => this.#moved(payload));
    client.on("matchEnd", (payload) => this.#ended(payload));
    client.on("matchCancelled", ({ reason }) => {
      this.#searching = false;
      this.#tell(`No match: ${reason}.`);
      this.#buttons();
    });
  }

  // ------------------------------------------------------------------------------------------------------- the match

  async #look() {
    this.#searching = true;
    this.#buttons();
    this.#tell("Looking for other players …");
    byId("cancel").focus();
    try {
      await this.#connection.request("matchRequest", { mode: byId("mode").value });
    } catch (error) {
      this.#searching = false;
      this.#tell(`No match: ${error.error ?? error.message} (${error.errorCode})`);
      this.#buttons();
    }
  }

  async #cancel() {
    this.#searching = false;
    this.#buttons();
    byId("match").focus();
    try {
      await this.#connection.request("matchCancel", {});
      this.#tell("You stopped looking for a match.");
    } catch (error) {
      this.#tell(`Still looking: ${error.error ?? error.message} (${error.errorCode})`);
    }
  }

  async #quit() {
    const match = this.#match;
    this.#forget("You left the match.");
    byId("match").focus();
    await this.#connection.request("matchLeave", { match }).catch(() => {});
  }

  #found({ match, players }) {
    this.#match = match;
    this.#searching = false;
    this.#direction = { x: 0, y: 0 };
    this.#before = this.#state = null;
    this.#sides.clear();
    this.#tell(`You play against ${players?.map((player) => player.id ?? player).filter((id) => id !== this.#connection.id).join(", ")}. Go!`);
    this.#buttons();
    byId("field").focus({ preventScroll: true });
  }

  #moved({ match, state }) {
    if (match !== this.#match) return;
    const now = performance.now();
    if (this.#state) this.#between = Math.min(200, Math.max(10, now - this.#stateAt));
    this.#before = this.#state;
    this.#state = state;
    this.#stateAt = now;
    this.#scores(state.players, state.goal);
    this.#draw();
  }

  #ended({ match, reason, result }) {
    if (match !== this.#match) return;
    const winner = result?.winner;
    const why = REASONS[reason] ? ` (${REASONS[reason]})` : "";
    const who = winner ? (winner === this.#connection.id ? "You won" : `${winner} won`) : "Nobody won";
    if (result?.scores) this.#scores(result.scores, this.#state?.goal ?? 0);
    this.#forget(`${who}${why}.`);
    if (document.activeElement === byId("field")) byId("match").focus({ preventScroll: true });
  }

  #lost() {
    if (this.#match || this.#searching) this.#forget("The connection is lost: the others play on.");
  }

  #forget(text) {
    this.#match = null;
    this.#searching = false;
    this.#before = this.#state = null;
    this.#pressed.clear();
    this.#tell(text);
    this.#buttons();
    this.#draw();
  }

  // ------------------------------------------------------------------------------------------------------ the controls

  #key(event, down) {
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (!(key in KEYS) || !this.#match || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    if (event.repeat) return;
    if (down) this.#pressed.add(key);
    else this.#pressed.delete(key);
    const [x, y] = [...this.#pressed].reduce(([x, y], pressed) => [x + KEYS[pressed][0], y + KEYS[pressed][1]], [0, 0]);
    this.#steer(Math.sign(x), Math.sign(y));
  }

  #point(event) {
    // A mouse steers while it is over the field, a finger while it touches it.
    const me = this.#state?.players.find(({ id }) => id === this.#connection.id);
    if (!me || event.timeStamp - this.#pointedAt < POINTER_EVERY_MS) return;
    this.#pointedAt = event.timeStamp;
    const box = byId("field").getBoundingClientRect();
    const onField = (share) => ((share - MARGIN) / (1 - 2 * MARGIN)) * this.#state.field;
    const x = onField((event.clientX - box.left) / box.width) - me.x;
    const y = onField((event.clientY - box.top) / box.height) - me.y;
    const length = Math.hypot(x, y);
    const round = (number) => Math.round(number * 100) / 100;
    if (length < NEAR) this.#steer(0, 0);
    else this.#steer(round(x / length), round(y / length));
  }

  #steer(x, y) {
    if (!this.#match || (this.#direction.x === x && this.#direction.y === y)) return;
    this.#direction = { x, y };
    this.#connection.client?.emit("matchInput", { match: this.#match, direction: { x, y } });
  }

  // --------------------------------------------------------------------------------------------------------- the view

  #tell(text) {
    byId("game-notice").textContent = text;
  }

  #buttons() {
    byId("match").hidden = this.#searching || !!this.#match;
    byId("cancel").hidden = !this.#searching;
    byId("quit").hidden = !this.#match;
    byId("mode").disabled = this.#searching || !!this.#match;
    byId("field").classList.toggle("playing", !!this.#match);
  }

  #scores(players, goal) {
    const lines = players.map(({ id, points }) => {
      const line = make("li", "", id === this.#connection.id ? "you" : "");
      line.append(make("span", id === this.#connection.id ? `${id} (you)` : id), make("b", goal ? `${points} of ${goal}` : String(points)));
      return line;
    });
    byId("scores").replaceChildren(...lines);
  }

  #draw() {
    if (this.#drawRequested) return;
    this.#drawRequested = true;
    requestAnimationFrame(() => {
      this.#drawRequested = false;
      this.#paint();
      // Between two states every animation frame draws something new.
      if (this.#state && performance.now() - this.#stateAt < this.#between) this.#draw();
    });
  }

  #paint() {
    const { pen, width } = penOf(byId("field"));
    this.#grid(pen, width);
    const state = this.#state;
    if (!state) return;
    const scale = (width * (1 - 2 * MARGIN)) / state.field;
    const place = (at) => width * MARGIN + at * scale;
    for (const { x, y } of state.targets) diamond(pen, place(x), place(y), Math.max(6, 16 * scale), colour("target"));
    const share = Math.min(1, (performance.now() - this.#stateAt) / this.#between);
    const radius = Math.max(8, 22 * scale);
    pen.font = "12px system-ui, sans-serif";
    const runners = state.players.map((player) => {
      const from = this.#before?.players.find(({ id }) => id === player.id) ?? player;
      const own = player.id === this.#connection.id;
      const name = own ? "you" : player.id;
      return {
        id: player.id,
        own,
        name,
        x: place(from.x + (player.x - from.x) * share),
        y: place(from.y + (player.y - from.y) * share),
        radius: radius + 5,
        width: pen.measureText(name).width + 4,
        height: NAME_HEIGHT,
      };
    });
    // The player's own runner is on top, and its name chooses first.
    runners.sort((a, b) => a.own - b.own);
    for (const { x, y, own } of runners) runner(pen, x, y, radius, colour(own ? "own" : "rival"), own);
    runners.reverse();
    const boxes = labels(runners, width, this.#sides);
    runners.forEach(({ name }, i) => label(pen, name, boxes[i]));
  }

  #grid(pen, width) {
    pen.strokeStyle = colour("line");
    pen.lineWidth = 1;
    pen.beginPath();
    for (let i = 1; i < 10; i++) {
      const at = Math.round((width * i) / 10) + 0.5;
      pen.moveTo(at, 0);
      pen.lineTo(at, width);
      pen.moveTo(0, at);
      pen.lineTo(width, at);
    }
    pen.stroke();
  }
}

function diamond(pen, x, y, radius, fill) {
  pen.fillStyle = fill;
  pen.beginPath();
  pen.moveTo(x, y - radius);
  pen.lineTo(x + radius, y);
  pen.lineTo(x, y + radius);
  pen.lineTo(x - radius, y);
  pen.fill();
}

function runner(pen, x, y, radius, fill, ring) {
  pen.fillStyle = fill;
  pen.beginPath();
  pen.arc(x, y, radius, 0, 2 * Math.PI);
  pen.fill();
  if (!ring) return;
  pen.strokeStyle = fill;
  pen.lineWidth = 2;
  pen.beginPath();
  pen.arc(x, y, radius + 4, 0, 2 * Math.PI);
  pen.stroke();
}

/** Draws a name with an outline in the field's colour, so that it can also be read over a runner. */
function label(pen, text, { x, y }) {
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  pen.lineJoin = "round";
  pen.lineWidth = 3;
  pen.strokeStyle = colour("field");
  pen.strokeText(text, x, y);
  pen.fillStyle = colour("ink");
  pen.fillText(text, x, y);
}
