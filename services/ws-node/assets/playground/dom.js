// Small helpers around the document that every panel uses.

export const byId = (id) => document.getElementById(id);

/** A new element with text, and a class if given. Text only: nothing that a server sends becomes markup. */
export function make(tag, text = "", className = "") {
  const element = document.createElement(tag);
  if (text !== "") element.textContent = text;
  if (className) element.className = className;
  return element;
}

/** Calls `action` on submit instead of loading another page. */
export function onSubmit(id, action) {
  byId(id).addEventListener("submit", (event) => {
    event.preventDefault();
    action();
  });
}

/** The time of day, to the millisecond. */
export function clock(date = new Date()) {
  const pad = (number, length = 2) => String(number).padStart(length, "0");
  return `${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}.${pad(date.getMilliseconds(), 3)}`;
}

/** A duration in a readable form. */
export function milliseconds(ms) {
  if (ms >= 1000) return `${(ms / 1000).toFixed(1)} s`;
  return `${ms.toFixed(ms < 10 ? 1 : 0)} ms`;
}

/** A number of bytes in a readable form. */
export function bytes(count) {
  return count < 10_000 ? `${count} B` : `${(count / 1000).toFixed(count < 1e5 ? 1 : 0)} kB`;
}

/** Appends a line and keeps at most `limit`; scrolls along if the end was visible. */
export function append(list, line, limit) {
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 24;
  list.append(line);
  while (list.childElementCount > limit) list.firstElementChild.remove();
  if (atEnd) list.scrollTop = list.scrollHeight;
}

/** Fits a canvas to the size at which it is shown; returns its context, in CSS pixels. */
export function penOf(canvas) {
  const { width, height } = canvas.getBoundingClientRect();
  const ratio = globalThis.devicePixelRatio || 1;
  const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  return { pen, width, height };
}

/** A colour of the style sheet, for the light or dark scheme in use. */
export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`);
}
