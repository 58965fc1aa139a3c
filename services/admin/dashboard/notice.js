// Tells what came of an action: at the bottom of the page, and to screen readers, until the next one or until it is closed.
import { byId } from "./dom.js";

const SHOWN_MS = 12_000;
let timer = 0;

/** `mood` is "good", "bad" or empty. Bad news stays until it is closed. */
export function tell(text, mood = "") {
  clearTimeout(timer);
  const notice = byId("notice");
  byId("notice-text").textContent = text;
  notice.dataset.mood = mood;
  notice.classList.add("shown");
  if (mood !== "bad") timer = setTimeout(hide, SHOWN_MS);
}

export function startNotice() {
  byId("notice-close").addEventListener("click", hide);
}

function hide() {
  byId("notice").classList.remove("shown");
  byId("notice-text").textContent = "";
}
