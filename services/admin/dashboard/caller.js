// Who uses the page and what that role allows. A control that it does not allow stays in sight, disabled, with the reason.
// This only spares people a refusal: admin itself checks every request.
import { mark } from "./dom.js";
import { tell } from "./notice.js";

const RANKS = { viewer: 0, publisher: 1, operator: 2 };

let caller = { name: "", role: "operator", clients: true };

/** Uses this caller for every control of the page. */
export function useCaller(given) {
  caller = given;
  for (const element of document.querySelectorAll("[data-needs]")) apply(element);
}

/** Disables a new control unless the role allows it. `need` is a role, or `clients`: operators, and tokens for backends. */
export function permit(element, need) {
  element.dataset.needs = need;
  apply(element);
  return element;
}

export function may(need) {
  if (need === "clients") return may("operator") || (may("publisher") && caller.clients === true);
  return (RANKS[caller.role] ?? -1) >= RANKS[need];
}

function reason(need) {
  const role = need === "clients" ? "operator" : need;
  return `This needs the role ${role}. You are ${caller.role}.`;
}

function apply(element) {
  const { needs } = element.dataset;
  const allowed = may(needs);
  if (element.matches(".reason")) {
    element.hidden = allowed;
    element.textContent = reason(needs);
    return;
  }
  mark(element, "aria-disabled", allowed ? null : "true");
  mark(element, "title", allowed ? null : reason(needs));
}

/** Keeps disabled controls from doing anything: a click says why instead. */
export function guardControls() {
  const stop = (event, element) => {
    if (!element) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    tell(reason(element.dataset.needs), "bad");
  };
  addEventListener("click", (event) => stop(event, event.target.closest?.("[data-needs][aria-disabled=true]")), true);
  addEventListener("submit", (event) => stop(event, event.target.querySelector("button:not([type=button])[aria-disabled=true]")), true);
}
