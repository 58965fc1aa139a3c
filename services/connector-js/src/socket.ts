/** The part of a WebSocket that is used here: what browsers, `ws` and small wrappers for mini-programs have in common. */

export interface WebSocketLike {
  /** 0 connecting, 1 open, 2 closing, 3 closed. */
  readonly readyState: number;
  /** Bytes that wait to be written; may be missing. */
  readonly bufferedAmount?: number;
  onopen: ((event: any) => void) | null;
  onmessage: ((event: any) => void) | null;
  onerror: ((event: any) => void) | null;
  onclose: ((event: any) => void) | null;
  send(text: string): void;
  close(code?: number, reason?: string): void;
}

export type WebSocketConstructor = new (url: string, protocols?: string | string[]) => WebSocketLike;

export const OPEN = 1;

/** The given constructor, or the global one. */
export function constructorOf(given: WebSocketConstructor | undefined): WebSocketConstructor {
  const found = given ?? (globalThis as { WebSocket?: WebSocketConstructor }).WebSocket;
  if (!found) {
    throw new Error("no global WebSocket: pass the option WebSocket (package ws)");
  }
  return found;
}

/** Removes the handlers and closes. They become empty functions, not null: `ws` throws errors that have no listener. */
export function abandon(socket: WebSocketLike, code: number, reason: string): void {
  socket.onopen = socket.onmessage = socket.onerror = socket.onclose = () => {};
  if (socket.readyState <= OPEN) socket.close(code, reason);
}

/** Encodes `text` like URLSearchParams, which not every engine has. */
function encode(text: string): string {
  return encodeURIComponent(text).replace(/[!'()~]/g, escape).replace(/%20/g, "+");
}

/** The URL with these parameters added to its query. Undefined ones are left out. */
export function withParams(url: string, params: Record<string, unknown>): string {
  let whole = url.split("#", 1)[0]!;
  for (const [key, value] of Object.entries(params)) {
    if (value !== undefined) whole += `${whole.includes("?") ? "&" : "?"}${encode(key)}=${encode(String(value))}`;
  }
  return whole;
}
