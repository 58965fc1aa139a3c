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
export declare const OPEN = 1;
/** The given constructor, or the global one. */
export declare function constructorOf(given: WebSocketConstructor | undefined): WebSocketConstructor;
/** Removes the handlers and closes. They become empty functions, not null: `ws` throws errors that have no listener. */
export declare function abandon(socket: WebSocketLike, code: number, reason: string): void;
/** The URL with these parameters added to its query. Undefined ones are left out. */
export declare function withParams(url: string, params: Record<string, unknown>): string;
