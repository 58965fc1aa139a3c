/** Frames: what goes over the wire, and what came. The keys' order is the original's, byte for byte. */

/** Something went wrong, in the original's terms. */
export interface ErrorObject {
  /** For people. */
  error: string;
  /** For programs: `WS_NOT_OPEN`, `CALLBACK_TIMEOUT`, … or the server's. */
  errorCode: string;
}

/** An event, or with an id a request. A payload that is undefined is null. */
export function eventFrame(event: string, payload: unknown, callbackId?: string, traceparent?: string): string {
  return JSON.stringify({ event, payload: payload ?? null, callbackId, traceparent });
}

/** The answer to a request of the server. */
export function answerFrame(payload: unknown, requestId: string): string {
  return JSON.stringify({ payload: payload ?? null, requestId });
}

/** What a server says. An id that is not a text, or empty, counts as none. */
export interface ServerFrame {
  event?: string;
  payload: unknown;
  callbackId?: string;
  requestId?: string;
}

/** Reads a frame of the server; undefined when it cannot be used. */
export function readFrame(text: string): ServerFrame | undefined {
  let frame: Record<string, unknown>;
  try {
    frame = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!frame || typeof frame !== "object") return undefined;
  const textOf = (value: unknown) => (typeof value === "string" && value ? value : undefined);
  return {
    event: textOf(frame.event),
    payload: frame.payload,
    callbackId: textOf(frame.callbackId),
    requestId: textOf(frame.requestId),
  };
}

/** What an error reply says; null when the payload is none. */
export function refusal(payload: unknown): ErrorObject | null {
  const { error, errorCode } = (payload ?? {}) as Partial<ErrorObject>;
  return typeof error === "string" && typeof errorCode === "string" ? { error, errorCode } : null;
}
