// The log level of one server or of all: a detour that ends by itself, or early.
import { ask, inWords } from "./api.js";
import { tell } from "./notice.js";

const LEVELS = ["error", "warn", "info", "debug", "trace"];
const TIMES = [[600_000, "10 minutes"], [60_000, "1 minute"], [3_600_000, "1 hour"], [86_400_000, "24 hours"]];

/** Ends a detour. */
const CONFIGURED = "default";

/** What to ask a person, for `confirm`. */
export const LEVEL_FIELDS = [
  { name: "level", label: "Level", value: "debug", choices: [...LEVELS.map((level) => [level, level]), [CONFIGURED, "as configured, at once"]] },
  { name: "forMs", label: "For", value: "600000", choices: TIMES },
];

/** Sets the level that a person chose. `whose` says of what, for the notice. */
export async function setLevel(where, { level, forMs }, whose) {
  const [, span] = TIMES.find(([ms]) => ms === Number(forMs));
  const now = level === CONFIGURED ? "as configured again" : `${level} for ${span}`;
  try {
    await ask(where, { method: "POST", body: { level, forMs: Number(forMs) } });
    tell(`The log level of ${whose} is ${now}.`, "good");
  } catch (error) {
    tell(inWords(error), "bad");
  }
}
