/** The part of a WebSocket that is used here: what browsers, `ws` and thin wrappers of mini-programs have in common. */

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

/** The constructor given, or the engine's own. */
export function constructorOf(given: WebSocketConstructor | undefined): WebSocketConstructor {
  const found = given ?? (globalThis as { WebSocket?: WebSocketConstructor }).WebSocket;
  if (!found) {
    throw new Error("no global WebSocket (Node.js before 22): pass the option WebSocket, say of the package ws");
  }
  return found;
}

/** Takes the handlers off and closes. They become empty functions, not null: `ws` throws errors that nobody hears. */
export function abandon(socket: WebSocketLike, code: number, reason: string): void {
  socket.onopen = socket.onmessage = socket.onerror = socket.onclose = () => {};
  if (socket.readyState <= OPEN) socket.close(code, reason);
}

/** `text` as a form encodes it: what URLSearchParams does, which not every engine has. */
function encode(text: string): string {
  const percent = (char: string) => "%" + char.charCodeAt(0).toString(16).toUpperCase();
  return encodeURIComponent(text).replace(/[!'()~]/g, percent).replace(/%20/g, "+");
}

/** The URL with these parameters added to its query. Those that are undefined are left out. */
export function withParams(url: string, params: Record<string, unknown>): string {
  const query = Object.entries(params)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${encode(key)}=${encode(String(value))}`)
    .join("&");
  const base = url.split("#", 1)[0]!;
  return query ? base + (base.includes("?") ? "&" : "?") + query : base;
}
