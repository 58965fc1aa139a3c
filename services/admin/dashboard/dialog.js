// Asks before something is done: names the object and the effect. Nothing happens unless the button of that name is pressed.
import { byId, make, onSubmit } from "./dom.js";

/**
 * Shows a question. Resolves to the values of `fields` by name, or to null if it is cancelled.
 * A field is `{ name, label, type, value, choices, min, max, hint }`; `choices` are `[value, text]`.
 */
export function confirm({ title, effect, action, fields = [], danger = true }) {
  const dialog = byId("confirm");
  byId("confirm-title").textContent = title;
  byId("confirm-effect").textContent = effect;
  const yes = byId("confirm-yes");
  yes.textContent = action;
  yes.className = danger ? "danger" : "";
  const inputs = fields.map(input);
  byId("confirm-fields").replaceChildren(...inputs.map(({ label }) => label));
  return new Promise((answered) => {
    let values = null;
    const form = byId("confirm-form");
    const gone = new AbortController();
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      values = Object.fromEntries(inputs.map(({ name, element }) => [name, element.value]));
      dialog.close();
    }, { signal: gone.signal });
    dialog.addEventListener("close", () => {
      gone.abort();
      answered(values);
    }, { signal: gone.signal });
    dialog.showModal();
    (inputs[0]?.element ?? byId("confirm-no")).focus();
  });
}

export function startDialog() {
  const dialog = byId("confirm");
  byId("confirm-no").addEventListener("click", () => dialog.close());
  onSubmit(byId("confirm-form"), () => {});
}

function input({ name, label: text, type = "text", value = "", choices, min, max, hint }) {
  const label = make("label", text);
  const element = make(choices ? "select" : "input");
  if (choices) {
    for (const [option, words] of choices) element.append(new Option(words, option));
  } else {
    element.type = type;
    element.autocomplete = "off";
    if (min !== undefined) element.min = min;
    if (max !== undefined) element.max = max;
  }
  element.value = value;
  element.name = name;
  label.append(element);
  if (hint) label.append(make("small", hint));
  return { name, element, label };
}
