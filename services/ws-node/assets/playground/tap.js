// A WebSocket that reports the frames that pass through it. The SDK gets its class instead of the browser's own.

/**
 * Calls `report({kind, text, at})` for every frame and every change of the connection; `kind` is "in", "out" or "note",
 * `at` the time of `performance.now()`.
 */
export function tapped(report) {
  return class TappedWebSocket extends WebSocket {
    constructor(url, protocols) {
      super(url, protocols);
      const note = (text) => report({ kind: "note", text, at: performance.now() });
      note(`connecting to ${url}`);
      this.addEventListener("open", () => note("open"));
      this.addEventListener("message", ({ data }) => report({ kind: "in", text: String(data), at: performance.now() }));
      this.addEventListener("close", ({ code, reason }) => note(`closed: ${code}${reason ? ` ${reason}` : ""}`));
    }

    send(text) {
      report({ kind: "out", text, at: performance.now() });
      super.send(text);
    }
  };
}
