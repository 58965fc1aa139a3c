// The only way from the page to admin's API. The token lives in this module and nowhere else: a reload forgets it.

const ANSWER_MS = 15_000;
const base = new URL("api/v1/", document.baseURI);

let token = null;
let onUnauthorized = () => {};

/** The token that every later request sends; null for none. */
export function useToken(given) {
  token = given;
}

/** Calls `action` when admin does not accept the token (any more). */
export function whenUnauthorized(action) {
  onUnauthorized = action;
}

/** An error that admin answered; `body` is its problem+json. */
export class Problem extends Error {
  constructor(status, body) {
    super(body.detail ?? `admin answered with the status ${status}`);
    this.status = status;
    this.code = body.code;
    this.body = body;
  }
}

/** A path of the API. Each value becomes one segment, whatever it contains. */
export function path(texts, ...values) {
  return texts.reduce((whole, text, i) => `${whole}${segment(values[i - 1])}${text}`);
}

function segment(value) {
  // A browser removes these from a path, however they are written: the request would be for something else.
  if (value === "." || value === "..") throw new Error(`a browser cannot address "${value}": use another HTTP client`);
  return encodeURIComponent(value);
}

/** Sends a request and returns the JSON of the answer. */
export async function ask(where, { method = "GET", body, signal, timeoutMs = ANSWER_MS } = {}) {
  const limit = AbortSignal.timeout(timeoutMs);
  const answer = await send(where, { method, body, signal: signal ? AbortSignal.any([signal, limit]) : limit });
  return answer.json();
}

/** Opens a stream of server-sent events. It lasts until `signal` ends it. */
export function open(where, signal) {
  return send(where, { method: "GET", signal });
}

/** What to tell a person about an error of `ask` or `open`. */
export function inWords(error) {
  if (error instanceof Problem) return error.message;
  if (error.name === "TimeoutError") return "Admin did not answer in time. It is not known whether it was done.";
  if (error instanceof TypeError) return "Admin cannot be reached. Check the network, then try again.";
  return error.message;
}

async function send(where, { method, body, signal }) {
  const headers = {};
  if (token !== null) headers.authorization = `Bearer ${token}`;
  if (body !== undefined) headers["content-type"] = "application/json";
  const used = token;
  const answer = await fetch(new URL(where, base), {
    method,
    headers,
    signal,
    body: body === undefined ? undefined : JSON.stringify(body),
    cache: "no-store",
    credentials: "omit",
  });
  if (answer.ok) return answer;
  const problem = new Problem(answer.status, await answer.json().catch(() => ({})));
  // An answer to a request of before the last login says nothing about the token in use.
  if (answer.status === 401 && used === token) onUnauthorized(problem);
  throw problem;
}
