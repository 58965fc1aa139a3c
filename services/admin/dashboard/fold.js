// A list that shows its first items, and all of them when asked: a page without boxes that scroll inside it.
import { button, keyed, write } from "./dom.js";

export class Fold {
  #list;
  #most;
  #draw = () => {};
  #isOpen = false;
  #more = button("", () => {
    this.#isOpen = !this.#isOpen;
    this.#draw();
  }, "link");

  /** Shows at most so many items of this list until it is opened. */
  constructor(list, most) {
    this.#list = list;
    this.#most = most;
    this.#more.hidden = true;
    list.after(this.#more);
  }

  /** As `keyed` does it. */
  show(items, key, create, update) {
    this.#draw = () => {
      const left = items.length - this.#most;
      keyed(this.#list, this.#isOpen ? items : items.slice(0, this.#most), key, create, update);
      this.#more.hidden = left <= 0;
      write(this.#more, this.#isOpen ? "Show fewer" : `Show ${left} more`);
      this.#more.setAttribute("aria-expanded", String(this.#isOpen));
    };
    this.#draw();
  }
}
