/** Close codes and whether a client reconnects after them. The server and every SDK use the same groups. */
/** What a client does after a close. */
export type CloseGroup = "now" | "delay" | "stop";
/** The codes that this client uses itself. */
export declare const MANUAL_CLOSE = 4001;
export declare const PONG_TIMEOUT = 4002;
export declare const AUTHENTICATION_FAILED = 4011;
/** RFC 6455: the connection ended without a close frame. */
export declare const ABNORMAL = 1006;
/** The client is the cause, not its server: authentication failed or late, slow consumer, rate limit. */
export declare const ABOUT_CLIENT: number[];
/** The group of a close code. After an unknown code clients reconnect now, with the usual jitter. */
export declare function closeGroup(code: number): CloseGroup;
/** The delay in ms that a close reason asks for, if any. */
export declare function retryAfter(reason: string): number | undefined;
