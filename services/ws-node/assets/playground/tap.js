// A WebSocket that tells what passes through it. The SDK gets its class in place of the browser's own.

/**
 * Calls `tell({kind, text, at})` for every frame and for what happens to the connection; `kind` is "in", "out" or "note",
 * `at` the time of `performance.now()`.
 */
export function tapped(tell) {
  return class TappedWebSocket extends WebSocket {
    constructor(url, protocols) {
      super(url, protocols);
      const note = (text) => tell({ kind: "note", text, at: performance.now() });
      note(`connecting to ${url}`);
      this.addEventListener("open", () => note("open"));
      this.addEventListener("message", ({ data }) => tell({ kind: "in", text: String(data), at: performance.now() }));
      this.addEventListener("close", ({ code, reason }) => note(`closed: ${code}${reason ? ` ${reason}` : ""}`));
    }

    send(text) {
      tell({ kind: "out", text, at: performance.now() });
      super.send(text);
    }
  };
}
