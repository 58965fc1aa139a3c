// A table whose rows stay the same elements from snapshot to snapshot. On a phone each row is a card: style.css needs the labels.
import { keyed, make, mark, write } from "./dom.js";

/**
 * A table with these columns: `{ name, text }`, where `text(item)` is the cell's text; or `{ name, create, update }`, for cells with
 * more than text. Roles are stated, because cards lose those of table elements.
 */
export class Table {
  #columns;
  #body;

  constructor(table, caption, columns) {
    this.#columns = columns;
    table.setAttribute("role", "table");
    table.setAttribute("aria-label", caption);
    const head = role(make("tr"), "row");
    for (const { name, hidden } of columns) {
      const cell = role(make("th", hidden ? "" : name), "columnheader");
      cell.scope = "col";
      if (hidden) cell.append(make("span", name, "hidden"));
      head.append(cell);
    }
    const thead = role(make("thead"), "rowgroup");
    thead.append(head);
    this.#body = role(make("tbody"), "rowgroup");
    table.append(thead, this.#body);
  }

  show(items, key) {
    keyed(this.#body, items, key, (item) => this.#row(item), (row, item) => this.#fill(row, item));
  }

  #row(item) {
    const row = role(make("tr"), "row");
    this.#columns.forEach(({ name, create, hidden, kind = "" }, i) => {
      const cell = role(make(i === 0 ? "th" : "td", "", kind), i === 0 ? "rowheader" : "cell");
      if (i === 0) cell.scope = "row";
      if (!hidden) cell.dataset.label = name;
      if (create) cell.append(create(item));
      row.append(cell);
    });
    return row;
  }

  #fill(row, item) {
    this.#columns.forEach(({ text, update }, i) => {
      const cell = row.children[i];
      if (update) update(cell.firstElementChild, item);
      else if (text) write(cell, text(item));
    });
  }
}

function role(element, name) {
  element.setAttribute("role", name);
  return element;
}

/** A state as a pill: a shape of its own and a colour. */
export function pill(state) {
  return setPill(make("span", "", "pill"), state);
}

export function setPill(element, state) {
  mark(element, "data-state", state);
  write(element, state);
  return element;
}
