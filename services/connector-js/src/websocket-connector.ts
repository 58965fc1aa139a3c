/** The client of websocket-cross-server-adapter under its own name: only what differs from `Connector`. */

import { Connector, type Result } from "./connector.js";
import { PONG_TIMEOUT } from "./close-codes.js";
import type { Closed } from "./events.js";
import type { ErrorObject } from "./frames.js";
import { type Options, type RequestOptions, duration } from "./options.js";

const NO_DATA = "data cannot be null or undefined";

/**
 * A drop-in for `WebSocketConnector` of websocket-cross-server-adapter. The same: it reconnects by itself after errors only,
 * an error reply is an ordinary payload, requests on a broken connection wait for their time limit, `manualClose()` is
 * final. Different: every wait is random.
 */
export class WebSocketConnector extends Connector {
  #final = false;

  override emit(
    event: string,
    data?: any,
    callback?: ((error: ErrorObject | null, data: any) => void) | null,
    options?: RequestOptions,
  ): boolean {
    if (data == null) throw new Error(NO_DATA);
    return super.emit(event, data, typeof callback === "function" ? callback : undefined, options);
  }

  override emitWithPromise(event: string, data?: any, options?: RequestOptions): Promise<Result<any>> {
    if (data != null) return super.emitWithPromise(event, data, options);
    return Promise.resolve({ success: false, error: NO_DATA, errorCode: "BAD_PAYLOAD" });
  }

  override reconnect(repeatReset = false): void {
    if (!this.#final) super.reconnect(repeatReset);
  }

  override manualClose(): void {
    this.#final = true;
    super.manualClose();
  }

  override setPingInterval(ms: number, immediate = false): void {
    duration("pingInterval", ms, 1);
    super.setPingInterval(ms, immediate);
  }

  protected override defaults(): Partial<Options> {
    return { autoReconnect: "error" };
  }

  /** Unknown options were always accepted here. */
  protected override unknownOption(text: string): void {
    console.warn(text);
  }

  protected override mayBePushed(): boolean {
    return true;
  }

  protected override refused(): null {
    return null;
  }

  protected override failsAtOnce(): boolean {
    return false;
  }

  protected override comesBack(code: number, failed: boolean): boolean {
    if (this.settings.autoReconnect !== "error") return super.comesBack(code, failed);
    return failed && code !== PONG_TIMEOUT;
  }

  protected override tellsClose({ willReconnect }: Closed, failed: boolean): boolean {
    return !(failed && willReconnect);
  }
}
