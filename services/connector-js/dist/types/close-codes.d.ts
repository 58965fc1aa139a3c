/** Close codes: whether a client comes back. The groups are those of the server and of every SDK. */
/** What a client does after a close. */
export type CloseGroup = "now" | "delay" | "stop";
/** The codes that this client uses itself. */
export declare const MANUAL_CLOSE = 4001;
export declare const PONG_TIMEOUT = 4002;
export declare const AUTHENTICATION_FAILED = 4011;
/** RFC 6455: the connection ended without a close frame. */
export declare const ABNORMAL = 1006;
/** About the client and not its server: authentication failed or late, slow consumer, rate limit. */
export declare const ABOUT_CLIENT: number[];
/** The group of a close code; any code that is not known comes back now, with the usual jitter. */
export declare function closeGroup(code: number): CloseGroup;
/** The delay in ms that a close reason gives, if it does. */
export declare function retryAfter(reason: string): number | undefined;
