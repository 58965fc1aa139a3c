// Begins a trace for each event and request that the page sends, and links to it. Only if the ws-node knows where traces are shown.
import { make } from "./dom.js";

const ANSWER_MS = 5000;
/** A frame ends with its trace context; nothing that a person types comes after it. */
const IN_FRAME = /,"traceparent":"00-([0-9a-f]{32})-[0-9a-f]{16}-01"\}$/;

export class Traces {
  /** Where traces are shown. */
  #url = "";
  #last = "";

  constructor() {
    // Without an answer there are no traces.
    this.#ask().catch(() => {});
  }

  async #ask() {
    const answer = await fetch("playground/traces.json", { signal: AbortSignal.timeout(ANSWER_MS) });
    this.#url = (await answer.json()).url ?? "";
  }

  /** The SDK's option `traceparent`. A match sends dozens of inputs per second, which nobody looks up. */
  begin(event) {
    if (!this.#url || event === "matchInput") return undefined;
    this.#last = hex(16);
    return `00-${this.#last}-${hex(8)}-01`;
  }

  /** Calls `send`. Returns what that returned, and the id of the trace that it began, if any. */
  during(send) {
    this.#last = "";
    const sent = send();
    return [sent, this.#last];
  }

  /** The id of the trace that a sent frame began; undefined if it began none. */
  idIn(text) {
    return this.#url ? IN_FRAME.exec(text)?.[1] : undefined;
  }

  /** A link to a trace, in a new tab. */
  link(id) {
    const link = make("a", "trace", "trace");
    link.href = `${this.#url}/trace/${id}`;
    link.target = "_blank";
    link.rel = "noopener";
    link.title = "It is there some seconds after the reply: servers send their spans in batches";
    link.ariaLabel = `trace ${id}`;
    return link;
  }
}

function hex(bytes) {
  return [...crypto.getRandomValues(new Uint8Array(bytes))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
