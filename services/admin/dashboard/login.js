// The login form: a token in, the caller's name and role out. The token is handed to api.js and kept nowhere else.
import { Problem, ask, inWords, useToken, whenUnauthorized } from "./api.js";
import { useCaller } from "./caller.js";
import { byId, onSubmit } from "./dom.js";

/** Shows the page to who may see it. `opened` and `closed` are called when that begins and ends. */
export async function startLogin(opened, closed) {
  const form = byId("login-form");
  whenUnauthorized((problem) => {
    if (!byId("login").hidden) return;
    useToken(null);
    closed();
    show("login");
    byId("login-error").textContent = `You were logged out: ${problem.message}.`;
    byId("token").focus();
  });
  // The page forgets everything when it is loaded again, the token first.
  byId("log-out").addEventListener("click", () => location.reload());
  onSubmit(form, async () => {
    const field = byId("token");
    const given = field.value.trim();
    if (given === "") return;
    byId("login-error").textContent = "";
    byId("login-go").disabled = true;
    useToken(given);
    try {
      enter(await whoAmI(), opened);
      field.value = "";
    } catch (error) {
      useToken(null);
      byId("login-error").textContent = rejected(error);
      field.select();
    } finally {
      byId("login-go").disabled = false;
    }
  });
  await begin(opened);
}

async function begin(opened) {
  try {
    const { login } = await (await fetch("dashboard/access.json", { cache: "no-store" })).json();
    byId("log-out").hidden = !login;
    if (login) {
      show("login");
      byId("token").focus();
    } else enter(await whoAmI(), opened);
  } catch (error) {
    show("login");
    byId("login-error").textContent = `${inWords(error)} Then reload this page.`;
  }
}

async function whoAmI() {
  return ask("caller");
}

function enter(caller, opened) {
  byId("caller").textContent = `${caller.name} · ${caller.role}`;
  useCaller(caller);
  show("page");
  opened();
}

function show(what) {
  byId("login").hidden = what !== "login";
  byId("page").hidden = what !== "page";
}

function rejected(error) {
  if (error instanceof Problem && error.status === 401) return "Admin does not accept this token. Check it, or ask an operator for a new one.";
  return inWords(error);
}
