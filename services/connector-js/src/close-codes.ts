/** Close codes: whether a client comes back. The groups are those of the server and of every SDK. */

/** What a client does after a close. */
export type CloseGroup = "now" | "delay" | "stop";

/** The codes that this client uses itself. */
export const MANUAL_CLOSE = 4001;
export const PONG_TIMEOUT = 4002;
export const AUTHENTICATION_FAILED = 4011;
/** RFC 6455: the connection ended without a close frame. */
export const ABNORMAL = 1006;

/** About the client and not its server: authentication failed or late, slow consumer, rate limit. */
export const ABOUT_CLIENT = [AUTHENTICATION_FAILED, 4013, 4014, 4015];

/** Come back after the delay given: restart, try again later, slow consumer, rate limit. */
const DELAY = [1012, 1013, 4013, 4015];
/** Do not come back: done, broken rules, closed by hand, thrown out. */
const STOP = [1000, 1002, 1003, 1007, 1008, 1009, MANUAL_CLOSE, 4010, AUTHENTICATION_FAILED, 4012];

/** The group of a close code; any code that is not known comes back now, with the usual jitter. */
export function closeGroup(code: number): CloseGroup {
  return STOP.includes(code) ? "stop" : DELAY.includes(code) ? "delay" : "now";
}

/** The delay in ms that a close reason gives, if it does. */
export function retryAfter(reason: string): number | undefined {
  const given = /^retry-after-ms=(\d+)$/.exec(reason);
  return given ? Number(given[1]) : undefined;
}
