/** Close codes and whether a client reconnects after them. The server and every SDK use the same groups. */

/** What a client does after a close. */
export type CloseGroup = "now" | "delay" | "stop";

/** The codes that this client uses itself. */
export const MANUAL_CLOSE = 4001;
export const PONG_TIMEOUT = 4002;
export const AUTHENTICATION_FAILED = 4011;
/** RFC 6455: the connection ended without a close frame. */
export const ABNORMAL = 1006;

/** The client is the cause, not its server: authentication failed or late, slow consumer, rate limit. */
export const ABOUT_CLIENT = [AUTHENTICATION_FAILED, 4013, 4014, 4015];

/** Reconnect after the delay in the reason: restart, try again later, slow consumer, rate limit. */
const DELAY = [1012, 1013, 4013, 4015];
/** Do not reconnect: done, protocol errors, closed by hand, logged out or replaced. */
const STOP = [1000, 1002, 1003, 1007, 1008, 1009, MANUAL_CLOSE, 4010, AUTHENTICATION_FAILED, 4012];

/** The group of a close code. After an unknown code clients reconnect now, with the usual jitter. */
export function closeGroup(code: number): CloseGroup {
  return STOP.includes(code) ? "stop" : DELAY.includes(code) ? "delay" : "now";
}

/** The delay in ms that a close reason asks for, if any. */
export function retryAfter(reason: string): number | undefined {
  const given = /^retry-after-ms=(\d+)$/.exec(reason);
  return given ? +given[1]! : undefined;
}
