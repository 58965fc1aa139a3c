// The views of the page, one at a time; the part of the address after # says which.
import { byId, mark } from "./dom.js";

let shown = "";
const listeners = [];

/** Calls `action` with the name of each view that comes up. */
export function whenShown(action) {
  listeners.push(action);
}

/** Calls `draw(snapshot)` for each snapshot while the view is up, and at once when it comes up: what nobody sees costs nothing. */
export function drawIn(view, live, draw) {
  const now = () => {
    if (shown === view && live.snapshot && !document.hidden) draw(live.snapshot);
  };
  live.on("snapshot", now);
  whenShown(now);
  document.addEventListener("visibilitychange", now);
  return now;
}

/** Goes to a view, as its entry in the navigation does. */
export function go(view) {
  location.hash = view;
}

export function startViews() {
  addEventListener("hashchange", () => {
    show();
    // As a new page would do it. The first view leaves the focus where the browser put it.
    byId(`${shown}-title`).focus();
  });
  show();
}

function show() {
  const views = [...document.querySelectorAll("main > .view")];
  const asked = location.hash.slice(1);
  const view = views.find(({ id }) => id === asked) ?? views[0];
  // The skip link and others point into the page: they change no view.
  if (asked && view.id !== asked && shown) return;
  shown = view.id;
  for (const other of views) other.hidden = other !== view;
  for (const entry of document.querySelectorAll("nav a")) {
    mark(entry, "aria-current", entry.hash === `#${shown}` ? "page" : null);
  }
  document.title = `${byId(`${shown}-title`).textContent} · wsmesh admin`;
  for (const action of listeners) action(shown);
}
