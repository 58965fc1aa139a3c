// Light or dark: as the system says, or as the switch says. The choice is kept in this browser.
import { byId } from "./dom.js";

const KEY = "wsmesh-admin-theme";
const CHOICES = ["auto", "light", "dark"];

/** Calls `changed` whenever the colours are others. */
export function startTheme(changed) {
  const choice = byId("theme");
  const use = (theme) => {
    document.documentElement.dataset.theme = theme;
    choice.value = theme;
    changed();
  };
  use(kept());
  choice.addEventListener("change", () => {
    keep(choice.value);
    use(choice.value);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", changed);
}

function kept() {
  try {
    const theme = localStorage.getItem(KEY);
    return CHOICES.includes(theme) ? theme : "auto";
  } catch {
    // A browser may forbid it; then each visit begins as the system says.
    return "auto";
  }
}

function keep(theme) {
  try {
    localStorage.setItem(KEY, theme);
  } catch {
    // As above.
  }
}
