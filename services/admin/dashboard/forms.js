// Forms that do something: read what was typed, do it, say beside the form what came of it.
import { inWords } from "./api.js";
import { json } from "./words.js";

/** The event and the payload that a form names. */
export function messageOf(form) {
  return { event: form.elements.event.value.trim(), payload: json(form.elements.payload.value) };
}

/** Does `work` and says what it returns, or why it failed, in the form's notice. */
export async function run(form, work) {
  const notice = form.querySelector(".notice");
  notice.dataset.mood = "";
  notice.textContent = "…";
  try {
    notice.textContent = await work();
    notice.dataset.mood = "good";
  } catch (error) {
    notice.textContent = inWords(error);
    notice.dataset.mood = "bad";
  }
}

/** Empties the notices and answers of forms whose object is another now. */
export function clearNotices(parent) {
  for (const notice of parent.querySelectorAll("form .notice")) notice.textContent = "";
  for (const answer of parent.querySelectorAll(".answer")) answer.hidden = true;
}
