/** The client of websocket-cross-server-adapter under its own name: only what differs from `Connector`. */
import { Connector, type Result } from "./connector.js";
import type { Closed } from "./events.js";
import type { ErrorObject } from "./frames.js";
import { type Options, type RequestOptions } from "./options.js";
/**
 * A drop-in for `WebSocketConnector` of websocket-cross-server-adapter. The same: it reconnects by itself after errors only,
 * an error reply is an ordinary payload, requests on a broken connection wait for their time limit, `manualClose()` is
 * final. Different: every wait is random.
 */
export declare class WebSocketConnector extends Connector {
    #private;
    emit(event: string, data?: any, callback?: ((error: ErrorObject | null, data: any) => void) | null, options?: RequestOptions): boolean;
    emitWithPromise(event: string, data?: any, options?: RequestOptions): Promise<Result<any>>;
    reconnect(repeatReset?: boolean): void;
    manualClose(): void;
    setPingInterval(ms: number, immediate?: boolean): void;
    protected defaults(): Partial<Options>;
    /** Unknown options were always accepted here. */
    protected unknownOption(text: string): void;
    protected mayBePushed(): boolean;
    protected refused(): null;
    protected failsAtOnce(): boolean;
    protected comesBack(code: number, failed: boolean): boolean;
    protected tellsClose({ willReconnect }: Closed, failed: boolean): boolean;
}
