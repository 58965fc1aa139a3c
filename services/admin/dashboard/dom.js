// Small helpers around the document. Text only: nothing that admin sends becomes markup.

export const byId = (id) => document.getElementById(id);

/** A new element with text, and a class if given. */
export function make(tag, text = "", className = "") {
  const element = document.createElement(tag);
  if (text !== "") element.textContent = text;
  if (className) element.className = className;
  return element;
}

/** A new button. */
export function button(text, action, className = "quiet") {
  const element = make("button", text, className);
  element.type = "button";
  element.addEventListener("click", action);
  return element;
}

/** Sets the text, and touches the document only if it differs: what is selected or read aloud stays. */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Sets an attribute, as `write` does; null removes it. */
export function mark(element, name, value) {
  if (value === null) element.removeAttribute(name);
  else if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

/** Calls `action` on submit instead of loading another page. */
export function onSubmit(form, action) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    action(event);
  });
}

/**
 * Makes the children of `parent` those of `items`, in their order. An item keeps its element, so focus, selection and open details
 * stay. `create(item)` returns an element; `update(element, item)` fills it.
 */
export function keyed(parent, items, key, create, update) {
  const known = (parent.known ??= new Map());
  const wanted = new Set(items.map(key));
  for (const [id, element] of known) {
    if (wanted.has(id)) continue;
    element.remove();
    known.delete(id);
  }
  let next = parent.firstElementChild;
  for (const item of items) {
    const id = key(item);
    let element = known.get(id);
    if (!element) {
      element = create(item);
      known.set(id, element);
    }
    update(element, item);
    if (element === next) next = next.nextElementSibling;
    else parent.insertBefore(element, next);
  }
}

/** A colour of the style sheet, as the scheme in use has it. */
export function colour(name) {
  const probe = byId("probe");
  probe.dataset.colour = name;
  return getComputedStyle(probe).color;
}
